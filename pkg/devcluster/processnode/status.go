package processnode

import (
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// facts are what the node knows of a pod. The pod's status is a function of its spec and these.
type facts struct {
	hostIP     string
	podIP      string
	startTime  *metav1.Time
	containers map[string]containerFacts // by name; init containers too
	// rejected is set when the pod was never let in.
	rejected *rejection
	// failed ends the pod as Failed whatever its containers said (deadline, node lost).
	failed *rejection
	// initialized says that all init containers are done (or, for sidecars, started).
	initialized bool
	// finished says that no container will start again.
	finished bool
}

// containerFacts are what the node knows of one container.
type containerFacts struct {
	state    v1.ContainerState
	last     v1.ContainerState
	restarts int32
	ready    bool
	started  bool
	id       string
}

// podStatus computes the status. Conditions of other owners are kept; a condition that did not change
// keeps its transition time.
func podStatus(pod *v1.Pod, f facts, now metav1.Time) v1.PodStatus {
	status := v1.PodStatus{
		ObservedGeneration: pod.Status.ObservedGeneration,
		StartTime:          f.startTime,
		QOSClass:           pod.Status.QOSClass,
		NominatedNodeName:  pod.Status.NominatedNodeName,
		Phase:              phase(pod, f),
	}
	if f.hostIP != "" {
		status.HostIP, status.HostIPs = f.hostIP, []v1.HostIP{{IP: f.hostIP}}
	}
	if f.podIP != "" {
		status.PodIP, status.PodIPs = f.podIP, []v1.PodIP{{IP: f.podIP}}
	}
	for _, ended := range []*rejection{f.rejected, f.failed} {
		if ended != nil {
			status.Reason, status.Message = ended.reason, ended.message
		}
	}
	if f.rejected == nil {
		status.InitContainerStatuses = containerStatuses(pod.Spec.InitContainers, f)
		status.ContainerStatuses = containerStatuses(pod.Spec.Containers, f)
	}
	status.Conditions = conditions(pod, f, status.Phase, now)
	return status
}

// phase sums up the containers in one word.
func phase(pod *v1.Pod, f facts) v1.PodPhase {
	if f.rejected != nil || f.failed != nil && f.finished {
		return v1.PodFailed
	}
	if f.finished {
		if f.initialized && allSucceeded(pod, f) {
			return v1.PodSucceeded
		}
		return v1.PodFailed
	}
	if !f.initialized {
		return v1.PodPending
	}
	for _, c := range pod.Spec.Containers {
		have := f.containers[c.Name]
		if have.state.Running == nil && have.state.Terminated == nil && have.last.Terminated == nil {
			return v1.PodPending // one has never started
		}
	}
	return v1.PodRunning
}

func allSucceeded(pod *v1.Pod, f facts) bool {
	for _, c := range pod.Spec.Containers {
		end := f.containers[c.Name].state.Terminated
		if end == nil || end.ExitCode != 0 {
			return false
		}
	}
	return true
}

func containerStatuses(list []v1.Container, f facts) []v1.ContainerStatus {
	statuses := make([]v1.ContainerStatus, 0, len(list))
	for _, c := range list {
		have, known := f.containers[c.Name]
		if !known || have.state == (v1.ContainerState{}) {
			reason := "ContainerCreating"
			if !f.initialized {
				reason = "PodInitializing"
			}
			have.state.Waiting = &v1.ContainerStateWaiting{Reason: reason}
		}
		started := have.started
		statuses = append(statuses, v1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: "process://" + c.Image, ContainerID: have.id,
			State: have.state, LastTerminationState: have.last,
			RestartCount: have.restarts, Ready: have.ready, Started: &started,
		})
	}
	return statuses
}

// conditions computes those that belong to a node, after the pod's other ones.
func conditions(pod *v1.Pod, f facts, p v1.PodPhase, now metav1.Time) []v1.PodCondition {
	ended := p == v1.PodSucceeded || p == v1.PodFailed
	containersReady := f.initialized && !ended
	for _, c := range pod.Spec.Containers {
		containersReady = containersReady && f.containers[c.Name].ready
	}
	ready := containersReady
	for _, gate := range pod.Spec.ReadinessGates {
		ready = ready && isTrue(pod.Status.Conditions, gate.ConditionType)
	}
	why, whyInit := "", ""
	switch {
	case p == v1.PodSucceeded:
		why = "PodCompleted"
	case p == v1.PodFailed:
		why = "PodFailed"
	case !containersReady:
		why = "ContainersNotReady"
	case !ready:
		why = "ReadinessGatesNotReady"
	}
	if !f.initialized {
		whyInit = "ContainersNotInitialized"
	}
	own := []v1.PodCondition{
		condition(v1.PodReadyToStartContainers, f.podIP != "" && !ended, ""),
		condition(v1.PodInitialized, f.initialized, whyInit),
		condition(v1.PodReady, ready, why),
		condition(v1.ContainersReady, containersReady, why),
	}
	if f.rejected != nil {
		own = nil // as a kubelet does: a pod that was never let in has no condition of the node
	}
	var all []v1.PodCondition
	for _, c := range pod.Status.Conditions {
		if find(own, c.Type) == nil {
			all = append(all, c)
		}
	}
	for _, c := range own {
		c.LastTransitionTime = now
		c.ObservedGeneration = pod.Generation
		if old := find(pod.Status.Conditions, c.Type); old != nil && old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		all = append(all, c)
	}
	return all
}

func condition(kind v1.PodConditionType, yes bool, whyNot string) v1.PodCondition {
	if yes {
		return v1.PodCondition{Type: kind, Status: v1.ConditionTrue}
	}
	return v1.PodCondition{Type: kind, Status: v1.ConditionFalse, Reason: whyNot}
}

func find(list []v1.PodCondition, kind v1.PodConditionType) *v1.PodCondition {
	for i := range list {
		if list[i].Type == kind {
			return &list[i]
		}
	}
	return nil
}

func isTrue(list []v1.PodCondition, kind v1.PodConditionType) bool {
	c := find(list, kind)
	return c != nil && c.Status == v1.ConditionTrue
}
