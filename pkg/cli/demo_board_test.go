package cli

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func podReport(index int, node string, phase corev1.PodPhase, reason string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("g-%d", index)}}
	pod.Spec.NodeName = node
	pod.Status.Phase = phase
	if reason != "" {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: reason}}
	}
	return pod
}

// What the demo claims (whole, ended, why it waits) has to follow from the
// reports, also where some are repeated, merged into one, or late.
func TestBoardTellsEachThingOnce(t *testing.T) {
	start := time.Unix(1000, 0)
	steps := []struct {
		pod  *corev1.Pod
		want []news
	}{
		{podReport(0, "", corev1.PodPending, ""), []news{memberCreated}},
		{podReport(0, "", corev1.PodPending, "no room"), []news{gangReason}},
		{podReport(1, "", corev1.PodPending, "no room"), []news{memberCreated}},
		{podReport(0, "n0", corev1.PodPending, ""), []news{memberBound}},
		{podReport(0, "n0", corev1.PodPending, ""), nil},
		{podReport(1, "n1", corev1.PodRunning, ""), []news{memberBound, gangWhole, memberRunning}},
		{podReport(0, "n0", corev1.PodSucceeded, ""), []news{memberEnded}},
		{podReport(1, "n1", corev1.PodSucceeded, ""), []news{memberEnded, gangEnded}},
		{podReport(1, "n1", corev1.PodSucceeded, ""), nil},
	}
	b := newBoard("g", 2)
	for i, step := range steps {
		if got := b.see(step.pod, start.Add(time.Duration(i)*time.Second)); !slices.Equal(got, step.want) {
			t.Errorf("report %d: got %v, want %v", i, got, step.want)
		}
	}
	for name, times := range map[string]struct {
		got  time.Time
		want int
	}{
		"created": {b.created, 2}, "first bound": {b.firstBound, 3}, "bound": {b.bound, 5}, "ended": {b.ended, 7},
	} {
		if want := start.Add(time.Duration(times.want) * time.Second); !times.got.Equal(want) {
			t.Errorf("%s: got %v, want %v", name, times.got, want)
		}
	}
}

// A member that is told to go before its end leaves once, however that is learnt; what its program
// makes of it is no failure. One that has ended before leaves nothing.
func TestBoardTellsWhoLeaves(t *testing.T) {
	going := func(pod *corev1.Pod) *corev1.Pod {
		pod.DeletionTimestamp = &metav1.Time{Time: time.Unix(1000, 0)}
		return pod
	}
	b := newBoard("g", 4)
	for i := range 4 {
		b.see(podReport(i, "n", corev1.PodRunning, ""), time.Unix(1000, 0))
	}
	for i, step := range []struct {
		pod  *corev1.Pod
		gone bool
		want []news
	}{
		{going(podReport(0, "n", corev1.PodRunning, "")), false, []news{memberLeaves}},
		{going(podReport(0, "n", corev1.PodRunning, "")), false, nil},
		{going(podReport(0, "n", corev1.PodFailed, "")), false, nil},
		{going(podReport(0, "n", corev1.PodFailed, "")), true, nil},
		{podReport(1, "n", corev1.PodRunning, ""), true, []news{memberLeaves}},
		{podReport(2, "n", corev1.PodFailed, ""), false, []news{memberFailed}},
		{going(podReport(2, "n", corev1.PodFailed, "")), false, nil},
		{podReport(2, "n", corev1.PodFailed, ""), true, nil},
		{going(podReport(3, "n", corev1.PodFailed, "")), false, []news{memberFailed}},
	} {
		var got []news
		if step.gone {
			got = b.forget(step.pod.Name)
		} else {
			got = b.see(step.pod, time.Unix(1001, 0))
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("report %d: got %v, want %v", i, got, step.want)
		}
	}
}

func TestFailureNamesWhatTheContainerSaid(t *testing.T) {
	pod := podReport(0, "n", corev1.PodFailed, "")
	pod.Status.Reason = "Evicted"
	if got := failureOf(pod); got != "Evicted" {
		t.Errorf("without containers: got %q", got)
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 3, Message: "no data"}}}}
	if got := failureOf(pod); got != "exit code 3: no data" {
		t.Errorf("with one: got %q", got)
	}
	pod.Status.ContainerStatuses[0].State.Terminated = &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}
	if got := failureOf(pod); got != "exit code 137 (OOMKilled)" {
		t.Errorf("with one that says nothing: got %q", got)
	}
}
