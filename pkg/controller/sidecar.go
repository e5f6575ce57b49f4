package controller

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// sidecarPatience is how long the other containers of a pod may take to end after its program.
const sidecarPatience = time.Minute

// noteSidecars tells of pods that a sidecar keeps from ending. A pod's phase decides on its
// job, as in every controller of Kubernetes: a sidecar may have work to do after the program.
// One that never ends holds the job and its resources for nothing, which must not be silent.
func (p *pass) noteSidecars() {
	message, held := "", 0
	for _, m := range p.members {
		sidecar := p.sidecarOf(m)
		if sidecar == "" {
			continue
		}
		if held++; held == 1 {
			message = fmt.Sprintf("pod %s: container %s has exited with code %d and %s runs on; the pod ends with its last container: "+
				"make a sidecar one of the initContainers, with restartPolicy Always", m.name, v1.ContainerName, exitOf(m.pod).code, sidecar)
		}
	}
	if held == 0 {
		p.dropCondition(v1.JobSidecarRuns)
		return
	}
	if held > 1 {
		message += fmt.Sprintf(" (%d pods)", held)
	}
	if !isTrue(p.status, v1.JobSidecarRuns) {
		p.tell(corev1.EventTypeWarning, string(v1.JobSidecarRuns), message)
	}
	p.setCondition(v1.JobSidecarRuns, corev1.ConditionTrue, string(v1.JobSidecarRuns), message)
}

// sidecarOf is the container that keeps a member's pod from ending; empty: none, or not for long.
func (p *pass) sidecarOf(m member) string {
	if m.pod == nil || m.pod.DeletionTimestamp != nil || ended(m.pod) {
		return ""
	}
	sidecar, over := "", false
	for _, status := range m.pod.Status.ContainerStatuses {
		switch end := status.State.Terminated; {
		case status.Name == v1.ContainerName:
			over = end != nil && endsForGood(m.pod, end.ExitCode)
		case status.State.Running != nil:
			sidecar = status.Name
		}
	}
	if !over || sidecar == "" {
		return ""
	}
	if until := exitOf(m.pod).at.Add(sidecarPatience); p.Now.Before(until) {
		p.wakeAt(until)
		return ""
	}
	return sidecar
}

// endsForGood: the kubelet does not start a container again that has ended so.
func endsForGood(pod *corev1.Pod, code int32) bool {
	policy := pod.Spec.RestartPolicy
	return policy == corev1.RestartPolicyNever || policy == corev1.RestartPolicyOnFailure && code == 0
}
