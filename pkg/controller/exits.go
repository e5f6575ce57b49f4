package controller

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// exit is how a pod's program ended.
type exit struct {
	code        int32
	started, at time.Time
	// known is false when no container has told its end.
	known bool
	// message is what the program left to say, or the end of its log where the container's
	// terminationMessagePolicy is FallbackToLogsOnError.
	message string
}

func exitFrom(t *corev1.ContainerStateTerminated) exit {
	return exit{code: t.ExitCode, started: t.StartedAt.Time, at: t.FinishedAt.Time, known: true, message: t.Message}
}

// exitOf is the end of container pytorch. Where it never ran, the end of a container
// that failed before it counts: the pod ended by that.
func exitOf(pod *corev1.Pod) exit {
	var other *corev1.ContainerStateTerminated
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range statuses {
			ended := statuses[i].State.Terminated
			switch {
			case ended == nil:
			case statuses[i].Name == v1.ContainerName:
				return exitFrom(ended)
			case ended.ExitCode != 0 && other == nil:
				other = ended
			}
		}
	}
	if other != nil {
		return exitFrom(other)
	}
	return exit{}
}

// restartsOf is how often the kubelet has restarted containers of the pod in place.
func restartsOf(pod *corev1.Pod) int32 {
	n := int32(0)
	for _, status := range pod.Status.ContainerStatuses {
		n += status.RestartCount
	}
	for _, status := range pod.Status.InitContainerStatuses {
		n += status.RestartCount
	}
	return n
}

// lastExitOf is the latest end that led to a restart in place.
func lastExitOf(pod *corev1.Pod) exit {
	last := exit{}
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range statuses {
			if t := statuses[i].LastTerminationState.Terminated; t != nil && !t.FinishedAt.Time.Before(last.at) {
				last = exitFrom(t)
			}
		}
	}
	return last
}
