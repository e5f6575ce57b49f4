package fakenodes

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kwok/pkg/utils/lifecycle"
)

// Which stage a pod is in for, and when, is all that the YAML decides; what the
// stages write is tested with an apiserver, which judges it.
func TestStageOfAPod(t *testing.T) {
	stages, err := podLifecycle()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	annotated := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	for _, test := range []struct {
		name        string
		phase       corev1.PodPhase
		policy      corev1.RestartPolicy
		deleted     bool
		annotations map[string]string
		want        string        // empty: none
		due         time.Duration // since start; 0: at once
	}{
		{name: "bound", phase: corev1.PodPending, want: "run"},
		{name: "runs for ever", phase: corev1.PodRunning},
		{name: "exit code alone", phase: corev1.PodRunning, annotations: annotated(ExitCodeAnnotation, "1")},
		{name: "ends", phase: corev1.PodRunning, annotations: annotated(RunForAnnotation, "10s"), want: "end", due: 11 * time.Second},
		{name: "composed time", phase: corev1.PodRunning, annotations: annotated(RunForAnnotation, "1h2m3.5s"), want: "end",
			due: time.Hour + 2*time.Minute + 4500*time.Millisecond},
		{name: "milliseconds", phase: corev1.PodRunning, annotations: annotated(RunForAnnotation, "250ms"), want: "end", due: 1250 * time.Millisecond},
		{name: "zero", phase: corev1.PodRunning, annotations: annotated(RunForAnnotation, "0"), want: "end", due: time.Second},
		{name: "fails", phase: corev1.PodRunning, policy: corev1.RestartPolicyNever,
			annotations: annotated(RunForAnnotation, "1s", ExitCodeAnnotation, "1"), want: "end", due: 2 * time.Second},
		{name: "fails and starts again", phase: corev1.PodRunning, policy: corev1.RestartPolicyOnFailure,
			annotations: annotated(RunForAnnotation, "1s", ExitCodeAnnotation, "1"), want: "restart", due: 2 * time.Second},
		{name: "success does not start again", phase: corev1.PodRunning, policy: corev1.RestartPolicyOnFailure,
			annotations: annotated(RunForAnnotation, "1s", ExitCodeAnnotation, "0"), want: "end", due: 2 * time.Second},
		{name: "over", phase: corev1.PodSucceeded, annotations: annotated(RunForAnnotation, "1s")},
		{name: "deleted before it ran", phase: corev1.PodPending, deleted: true, want: "delete"},
		{name: "deleted while it runs", phase: corev1.PodRunning, deleted: true, annotations: annotated(RunForAnnotation, "1s"), want: "delete"},
		{name: "deleted when it is over", phase: corev1.PodFailed, deleted: true, want: "delete"},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "p", Annotations: test.annotations},
				Spec:       corev1.PodSpec{RestartPolicy: test.policy},
				Status:     corev1.PodStatus{Phase: test.phase},
			}
			if test.phase == corev1.PodRunning {
				pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
					State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(start)}},
				}}
			}
			if test.deleted {
				pod.DeletionTimestamp = &metav1.Time{Time: start}
			}
			event := &lifecycle.Event{Annotations: pod.Annotations, Data: pod}
			stage, err := stages.Match(context.Background(), event)
			if err != nil {
				t.Fatal(err)
			}
			if stage == nil || test.want == "" {
				if (stage == nil) != (test.want == "") {
					t.Fatalf("stage %v, want %q", stage, test.want)
				}
				return
			}
			if stage.Name() != test.want {
				t.Fatalf("stage %s, want %s", stage.Name(), test.want)
			}
			now := time.Now()
			delay, _, err := stage.Delay(context.Background(), event, now)
			if err != nil {
				t.Fatal(err)
			}
			if test.due == 0 {
				if delay > 0 {
					t.Errorf("delay %v, want none", delay)
				}
				return
			}
			// The expression asks for the time itself, a moment after now.
			if early := start.Add(test.due).Sub(now.Add(delay)); early < 0 || early > time.Second {
				t.Errorf("due at %v, want %v", now.Add(delay), start.Add(test.due))
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	for _, test := range []struct {
		name, value string
		wrong       bool
	}{
		{RunForAnnotation, "10s", false},
		{RunForAnnotation, "1h2m3.5s", false},
		{RunForAnnotation, "0", false},
		{RunForAnnotation, "10", true},
		{RunForAnnotation, "10 s", true},
		{RunForAnnotation, "-1s", true},
		{RunForAnnotation, "", true},
		{StopAfterAnnotation, "soon", true},
		{ExitCodeAnnotation, "0", false},
		{ExitCodeAnnotation, "255", false},
		{ExitCodeAnnotation, "256", true},
		{ExitCodeAnnotation, "-1", true},
		{ExitCodeAnnotation, "01", true},
		{ExitCodeAnnotation, "one", true},
		{"other", "anything", false},
	} {
		if got := refusal(map[string]any{test.name: test.value}); (got != "") != test.wrong {
			t.Errorf("%s: %q: refusal %q", test.name, test.value, got)
		}
	}
	if got := refusal(map[string]any{}); got != "" {
		t.Errorf("a pod without annotations is refused: %s", got)
	}
}
