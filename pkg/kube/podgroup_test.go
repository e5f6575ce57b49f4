package kube

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
)

func TestSpec(t *testing.T) {
	pg := &v1alpha1.PodGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "job", UID: "u", Annotations: map[string]string{
		"kueue.x-k8s.io/podset-required-topology": "block", RequiredTopology: "rack", "kueue.x-k8s.io/podset-preferred-topology": "host",
	}}}
	pg.Spec.MinMember = 3
	spec := Spec(pg)
	if spec.Key != (gang.Key{Namespace: "team", Name: "job"}) || spec.Floor != 3 || spec.UID != "u" {
		t.Errorf("%+v", spec)
	}
	if spec.Required.Name != "rack" || spec.Preferred.Name != "host" {
		t.Errorf("required %+v, preferred %+v: ours goes before Kueue's, and Kueue's counts where ours is absent", spec.Required, spec.Preferred)
	}
}

func TestPermitTimeout(t *testing.T) {
	seconds := func(n int32) *v1alpha1.PodGroup {
		return &v1alpha1.PodGroup{Spec: v1alpha1.PodGroupSpec{ScheduleTimeoutSeconds: &n}}
	}
	for _, tt := range []struct {
		name string
		pg   *v1alpha1.PodGroup
		want time.Duration
	}{
		{"no group", nil, time.Minute},
		{"not said", &v1alpha1.PodGroup{}, time.Minute},
		{"said", seconds(90), 90 * time.Second},
		{"longer than the framework waits", seconds(3600), 15 * time.Minute},
		{"nothing", seconds(0), time.Minute},
	} {
		if got := PermitTimeout(tt.pg, time.Minute); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestGroupStatusChangesOncePerChange(t *testing.T) {
	waits := core.Status{Phase: gang.Queued, Floor: 3, Reason: core.Reason{Code: "DoesNotFit", Message: "3 pods do not fit"}}
	placed := core.Status{Phase: gang.Placed, Floor: 3, Counts: gang.Counts{Bound: 3}}
	at := func(s int64) metav1.Time { return metav1.Unix(s, 0) }

	first, changed := GroupStatus{}.Next(waits, 0, 0, nil, 1, at(1))
	if !changed || first.Phase != v1alpha1.PodGroupPending {
		t.Fatalf("%+v, changed %t", first, changed)
	}
	if c := meta.FindStatusCondition(first.Conditions, ScheduledCondition); c == nil || c.Status != metav1.ConditionFalse || c.Message != "3 pods do not fit" {
		t.Errorf("condition %+v", c)
	}
	if _, changed := first.Next(waits, 0, 0, nil, 1, at(2)); changed {
		t.Error("the same standing is a change")
	}
	second, changed := first.Next(placed, 1, 0, nil, 1, at(3))
	if !changed || second.Phase != v1alpha1.PodGroupScheduling || second.Running != 1 {
		t.Errorf("%+v, changed %t", second, changed)
	}
	if c := meta.FindStatusCondition(second.Conditions, ScheduledCondition); c.Status != metav1.ConditionTrue || !c.LastTransitionTime.Equal(&metav1.Time{Time: at(3).Time}) {
		t.Errorf("condition %+v", c)
	}
	if len(first.Conditions) != 1 || first.Conditions[0].Status != metav1.ConditionFalse {
		t.Error("the status that it came from was changed")
	}
	for _, tt := range []struct {
		running, succeeded int
		want               v1alpha1.PodGroupPhase
	}{{3, 0, v1alpha1.PodGroupRunning}, {2, 1, v1alpha1.PodGroupRunning}, {0, 3, v1alpha1.PodGroupFinished}} {
		if next, _ := second.Next(placed, tt.running, tt.succeeded, nil, 1, at(4)); next.Phase != tt.want {
			t.Errorf("%d run, %d have succeeded: %s, want %s", tt.running, tt.succeeded, next.Phase, tt.want)
		}
	}
}

func TestSentenceForEveryPhase(t *testing.T) {
	for _, tt := range []struct {
		status core.Status
		want   string
	}{
		{core.Status{Phase: gang.Queued, Floor: 2}, "complete; waits for its turn"},
		{core.Status{Phase: gang.Incomplete, Reason: core.Reason{Message: "1 of 2 members exist"}}, "1 of 2 members exist"},
		{core.Status{Phase: gang.Placed, Floor: 2, Counts: gang.Counts{Bound: 3}}, "3 members have a node; 2 are needed"},
		{core.Status{Phase: gang.Healing, Floor: 8, Counts: gang.Counts{Bound: 7, Waiting: 1}, Reason: core.Reason{Message: "why"}},
			"7 of 8 members are bound, the rest is being placed close to them: why"},
		{core.Status{Phase: gang.Degraded, Floor: 8, Counts: gang.Counts{Bound: 7}},
			"7 of 8 members are bound and the others do not exist; their controller has to create them"},
	} {
		if got := Sentence(tt.status); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.status.Phase, got, tt.want)
		}
	}
}
