package plugin

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	fwk "k8s.io/kube-scheduler/framework"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
)

// The status is compared with what was written last, though the watch has not shown that: the
// end of a wait would be counted twice.
func TestStatusThatTheCacheLacks(t *testing.T) {
	key := gang.Key{Namespace: "ns", Name: "gang"}
	pg := func(uid, version, phase string) *group {
		return &group{
			PodGroup: &v1alpha1.PodGroup{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid), ResourceVersion: version}},
			status:   kube.GroupStatus{Phase: v1alpha1.PodGroupPhase(phase)},
		}
	}
	for _, test := range []struct {
		name   string
		cached *group
		want   v1alpha1.PodGroupPhase
	}{
		{"older", pg("a", "9", "before"), "written"},
		{"the same", pg("a", "10", "cached"), "cached"},
		{"later", pg("a", "11", "cached"), "cached"},
		{"another of that name", pg("b", "9", "cached"), "cached"},
	} {
		r := newReporter(nil)
		r.written[key] = pg("a", "10", "written")
		got := r.latest(key, test.cached)
		if got.status.Phase != test.want || got.PodGroup != test.cached.PodGroup {
			t.Errorf("%s: status %s, want %s, of what is cached", test.name, got.status.Phase, test.want)
		}
		if kept := len(r.written) == 1; kept != (test.want == "written") {
			t.Errorf("%s: what was written is still remembered: %t", test.name, kept)
		}
	}
}

type recording struct {
	fwk.Handle
	recorder *events.FakeRecorder
}

func (h recording) EventRecorder() events.EventRecorderLogger { return h.recorder }

// A scheduler that has just started may see a gang's pods one by one. That the gang is then what
// the scheduler before it said is no news; nor is that some are missing.
func TestStartTellsNoNews(t *testing.T) {
	recorder := events.NewFakeRecorder(9)
	r := newReporter(&engine{handle: recording{recorder: recorder}})
	for _, tt := range []struct {
		name string
		was  metav1.Condition
		says []core.Code // what is reported, in turn; "" for Placed
		want int         // events
	}{
		{"waits", metav1.Condition{Status: metav1.ConditionFalse, Reason: "Impossible"}, []core.Code{core.WaitingForMembers, "Impossible"}, 0},
		{"sits", metav1.Condition{Status: metav1.ConditionTrue, Reason: "Scheduled"}, []core.Code{core.WaitingForMembers, ""}, 0},
		{"fits", metav1.Condition{Status: metav1.ConditionFalse, Reason: "Impossible"}, []core.Code{core.WaitingForMembers, ""}, 1},
		{"again", metav1.Condition{Status: metav1.ConditionTrue, Reason: "Scheduled"}, []core.Code{"", core.WaitingForMembers, ""}, 1},
	} {
		tt.was.Type = kube.ScheduledCondition
		g := &group{PodGroup: &v1alpha1.PodGroup{}, status: kube.GroupStatus{Conditions: []metav1.Condition{tt.was}}}
		g.Name = tt.name
		for _, code := range tt.says {
			status := core.Status{Phase: gang.Queued, Reason: core.Reason{Code: code, Message: "3 of 4"}}
			if code == "" {
				status.Phase = gang.Placed
			}
			r.tell(g, status)
		}
		if got := len(recorder.Events); got != tt.want {
			t.Errorf("%s: %d events, want %d", tt.name, got, tt.want)
		}
		for len(recorder.Events) > 0 {
			<-recorder.Events
		}
	}
}
