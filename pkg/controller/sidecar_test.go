package controller

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// programEnds ends container pytorch of a pod while another container runs on.
func (w *world) programEnds(name string, code int32) *world {
	w.t.Helper()
	return w.exit(name, code).change(name, func(pod *corev1.Pod) {
		pod.Status.Phase = corev1.PodRunning
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: "logger", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})
	})
}

// TestSidecarRunsOn: the pod's phase decides, and a sidecar that keeps it from ending is told of.
func TestSidecarRunsOn(t *testing.T) {
	const want = "pod job-worker-0: container pytorch has exited with code 1 and logger runs on; the pod ends with its last container: " +
		"make a sidecar one of the initContainers, with restartPolicy Always (2 pods)"
	w := running(t, masterAndWorkers("ExitCode")).programEnds("worker-0", 1).programEnds("worker-1", 2).look().wantState("Running")
	due := exitOf(w.find("worker-0")).at.Add(sidecarPatience)
	if condition(&w.Job.Status, v1.JobSidecarRuns) != nil || !w.last.Wake.Equal(due) {
		t.Errorf("wakes at %v, want %v; conditions %+v", w.last.Wake, due, w.Job.Status.Conditions)
	}
	w.Now = w.last.Wake
	w.lookNow().rest().wantState("Running")
	if c := condition(&w.Job.Status, v1.JobSidecarRuns); c == nil || c.Message != want || w.told("SidecarRuns") != 1 {
		t.Errorf("condition %+v; events %v", c, w.heard)
	}
	w.exit("worker-0", 1).look().wait(doubtWindow).look().wantState("Failed")
	if condition(&w.Job.Status, v1.JobSidecarRuns) != nil {
		t.Error("the job has failed, and its sidecars are still told of")
	}
}

// TestSidecarPolicies: what the kubelet starts again is not over.
func TestSidecarPolicies(t *testing.T) {
	for _, test := range []struct {
		policy string
		code   int32
		told   int
	}{{"Never", 0, 1}, {"Never", 1, 1}, {"ExitCode", 137, 1}, {"OnFailure", 0, 1}, {"OnFailure", 1, 0}, {"Always", 0, 0}} {
		w := running(t, masterAndWorkers(test.policy)).programEnds("worker-0", test.code).wait(sidecarPatience).rest()
		if got := w.wantState("Running").told("SidecarRuns"); got != test.told {
			t.Errorf("%s, code %d: told %d times, want %d", test.policy, test.code, got, test.told)
		}
	}
}

// TestSidecarRestarts: under Never and ExitCode the kubelet restarts nothing but sidecars,
// whose ends are not the program's.
func TestSidecarRestarts(t *testing.T) {
	for policy, state := range map[string]string{"Never": "Running", "ExitCode": "Running", "OnFailure": "Failed"} {
		w := running(t, masterAndWorkers(policy)).edit(limit(0))
		w.change("worker-0", func(pod *corev1.Pod) {
			pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "logger", RestartCount: 1,
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, FinishedAt: metav1.NewTime(w.Now)}}}}
		})
		w.look().wantState(state)
		if got := w.restarts(); (got == 0) != (state == "Running") {
			t.Errorf("%s: %d restarts counted", policy, got)
		}
	}
}
