package controller

import (
	corev1 "k8s.io/api/core/v1"

	"k8s.io/apimachinery/pkg/types"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// count derives the numbers of each role from the pods. Nothing is ever added up over
// time; but a pod that had ended stays counted when it is cleaned up after the job.
func (p *pass) count() {
	if condition(p.status, v1.JobCreated) == nil {
		return
	}
	before := p.Job.Status.ReplicaStatuses
	after := map[v1.ReplicaType]*v1.ReplicaStatus{}
	for _, role := range v1.ReplicaTypes() {
		if p.job.Spec.PyTorchReplicaSpecs[role] != nil {
			after[role] = &v1.ReplicaStatus{Selector: roleSelector(p.job.Name, role)}
		}
	}
	for _, m := range p.members {
		p.countMember(m, after[m.role])
	}
	for _, pod := range p.surplus { // of a job that has ended before they were told to go
		counts := after[v1.Worker]
		if counts != nil && pod.Labels[LabelReplicaType] == "worker" && p.isActive(pod) {
			counts.Active++
		}
	}
	for role, counts := range after {
		if old := before[role]; old != nil && finished(p.status) {
			counts.Succeeded = max(counts.Succeeded, old.Succeeded)
			counts.Failed = max(counts.Failed, old.Failed)
		}
	}
	p.status.ReplicaStatuses = after
}

func (p *pass) countMember(m member, counts *v1.ReplicaStatus) {
	switch {
	case p.completed.has(m.role, m.index):
		counts.Succeeded++
	case m.pod == nil || m.pod.DeletionTimestamp != nil:
	case m.pod.Status.Phase == corev1.PodFailed:
		counts.Failed++
	case m.pod.Status.Phase == corev1.PodSucceeded:
		counts.Succeeded++
	case p.isActive(m.pod):
		counts.Active++
	}
}

// isActive: the pod runs, and is not told to go.
func (p *pass) isActive(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil && !p.doomed[pod.UID]
}

// prune writes the memory back, without what is about pods that are no more.
func (p *pass) prune() {
	progress := p.status.Progress
	present := make(map[types.UID]bool, len(p.Pods))
	for _, pod := range p.Pods {
		present[pod.UID] = true
	}
	for uid := range progress.Counted {
		if !present[types.UID(uid)] {
			delete(progress.Counted, uid)
		}
	}
	if len(progress.Counted) == 0 {
		progress.Counted = nil
	}
	progress.Completed = p.completed.store()
	progress.Replacing = p.replacing.store()
	if progress.Incident != nil {
		progress.Incident.Fallen = p.fallen.store()
	}
	if progress.IsZero() {
		p.status.Progress = nil
	}
}

// updateRunning moves between Created, Running and Restarting.
func (p *pass) updateRunning() {
	for _, m := range p.members {
		if p.replacing.has(m.role, m.index) && (p.runs(m) || p.completed.has(m.role, m.index)) {
			p.replacing.remove(m.role, m.index)
		}
	}
	for role, set := range p.replacing {
		for index := range set {
			if index >= p.size(role) {
				p.replacing.remove(role, index) // the job has shrunk: nobody waits for it
			}
		}
	}
	if p.replacing.size() > 0 {
		if !isTrue(p.status, v1.JobRestarting) {
			message := p.restartMessage()
			p.dropCondition(v1.JobRunning)
			p.become(v1.JobRestarting, corev1.EventTypeWarning, reasonRestarting, message)
		}
		return
	}
	if p.started() {
		p.dropCondition(v1.JobRestarting)
		p.become(v1.JobRunning, corev1.EventTypeNormal, reasonRunning, p.runningMessage())
	}
}

// started: the Master runs; without one, any Worker.
func (p *pass) started() bool {
	for _, m := range p.members {
		if p.hasMaster() && m.role != v1.Master {
			continue
		}
		if p.runs(m) {
			return true
		}
	}
	return false
}

// runs: the member's pod runs and is to stay.
func (p *pass) runs(m member) bool {
	return m.pod != nil && p.isActive(m.pod) && !p.accounted(m.pod)
}

// subject is how messages name the job. Those about Workers-only jobs have always
// named the namespace as well, and tools compare messages.
func (p *pass) subject() string {
	if p.hasMaster() {
		return "PyTorchJob " + p.job.Name
	}
	return "PyTorchJob " + p.job.Namespace + "/" + p.job.Name
}

func (p *pass) runningMessage() string { return p.subject() + " is running." }
