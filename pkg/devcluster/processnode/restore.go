package processnode

import (
	v1 "k8s.io/api/core/v1"
)

// restore takes over what the status says of a pod that an earlier process of this node ran: its processes have
// ended with that one, unseen. A container starts again if its policy allows it; when none does, the pod has ended.
func (f *facts) restore(pod *v1.Pod) {
	restarting := len(pod.Status.ContainerStatuses) == 0
	for _, s := range pod.Status.ContainerStatuses {
		end := lastEnd(s)
		if end == nil {
			restarting = true // it never started
			continue
		}
		f.containers[s.Name] = containerFacts{
			state: v1.ContainerState{Terminated: end}, last: s.LastTerminationState, restarts: s.RestartCount, id: s.ContainerID,
		}
		c := containerNamed(pod, s.Name)
		restarting = restarting || c == nil || restarts(containerPolicy(pod, c, false), end.ExitCode)
	}
	f.initialized, f.finished = !restarting, !restarting
}

// lastEnd is how the last attempt of a container ended, nil if there was none.
func lastEnd(s v1.ContainerStatus) *v1.ContainerStateTerminated {
	switch {
	case s.State.Running != nil:
		return &v1.ContainerStateTerminated{
			ExitCode: 137, Reason: "ContainerStatusUnknown", Message: "the process node that ran it has ended",
			StartedAt: s.State.Running.StartedAt, FinishedAt: now(), ContainerID: s.ContainerID,
		}
	case s.State.Terminated != nil:
		return s.State.Terminated
	default:
		return s.LastTerminationState.Terminated
	}
}
