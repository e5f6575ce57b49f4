package controller

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var (
	noon   = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	jobKey = types.NamespacedName{Namespace: "team", Name: "job"}
)

// TestSettled: a job is looked at again only when every write for it has been seen (D21).
func TestSettled(t *testing.T) {
	n := newNotebook()
	settled := func(version string, want bool) {
		t.Helper()
		if wait := n.settled(jobKey, version, noon); (wait == 0) != want {
			t.Errorf("at version %s: wait %v, want settled %v", version, wait, want)
		}
	}
	settled("1", true)
	n.wrote(jobKey, "12")
	settled("9", false) // as numbers: 9 is before 12
	settled("12", true)
	settled("13", true)
	n.expect(jobKey, "Pod/a", noon)
	n.expect(jobKey, "Pod/b", noon)
	settled("13", false)
	n.seen(jobKey, "Pod/a")
	settled("13", false)
	n.seen(jobKey, "Pod/b")
	settled("13", true)
	n.expect(jobKey, "Pod/c", noon.Add(-patience)) // an event that never came
	settled("13", true)
	n.expect(types.NamespacedName{Namespace: "team", Name: "other"}, "Pod/a", noon)
	settled("13", true)
}

// TestLost: what we delete ourselves is no loss.
func TestLost(t *testing.T) {
	n := newNotebook()
	pod := func(uid types.UID) *corev1.Pod { return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid}} }
	n.deleting(jobKey, "ours")
	n.lost(jobKey, pod("ours"))
	n.lost(jobKey, pod("theirs"))
	n.on(jobKey, func(p *page) {
		if len(p.gone) != 1 || p.gone[0].UID != "theirs" || len(p.ours) != 0 {
			t.Errorf("gone %v, ours %v", p.gone, p.ours)
		}
	})
}

// TestLostAfterItWasToldToGo: what a pod did in its grace period is no success, whatever the kubelet's own
// deletion looks like.
func TestLostAfterItWasToldToGo(t *testing.T) {
	w := running(t, masterAndWorkers("OnFailure")).terminate("master-0", 30)
	n := newNotebook()
	n.leaving(jobKey, w.find("master-0"))
	w.wait(time.Second).exit("master-0", 0).wait(time.Second).terminate("master-0", 0)
	n.leaving(jobKey, w.find("master-0"))
	n.lost(jobKey, w.find("master-0"))
	w.vanish("master-0")
	n.on(jobKey, func(p *page) {
		if len(p.leaving) != 0 {
			t.Errorf("still leaving: %v", p.leaving)
		}
		w.Gone = p.gone
	})
	w.look().wantState("Restarting").rest().wantPods("master-0 worker-0 worker-1")
}

// TestRetry: twice as long each time, up to a minute; a changed job starts anew.
func TestRetry(t *testing.T) {
	n := newNotebook()
	wait := func(generation int64) time.Duration {
		trouble := &Trouble{}
		n.failed(jobKey, generation, trouble, noon)
		return trouble.Retry.Sub(noon) / time.Second
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		if got := wait(1); got != want {
			t.Errorf("failure %d: %d s, want %d", i, got, want)
		}
	}
	if got := wait(2); got != 1 {
		t.Errorf("after a change: %d s", got)
	}
	n.succeeded(jobKey)
	if got := wait(2); got != 1 {
		t.Errorf("after a success: %d s", got)
	}
}
