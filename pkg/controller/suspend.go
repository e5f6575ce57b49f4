package controller

import (
	"encoding/json"
	"fmt"
	"hash/fnv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// suspend takes everything from a job that holds resources, whatever its clean-up
// policy says. Its start time stays until it is resumed.
func (p *pass) suspend() {
	p.accept()
	message := fmt.Sprintf("PyTorchJob %s is suspended.", p.job.Name)
	p.leaveRunning(reasonSuspended, message)
	p.dropCondition(v1.JobCreateFailed)
	p.dropCondition(conditionScaleClamped)
	p.dropCondition(conditionAutoscaled)
	p.dropCondition(conditionQueueNotFound)
	p.dropCondition(v1.JobSidecarRuns)
	p.become(v1.JobSuspended, corev1.EventTypeNormal, reasonSuspended, message)
	for _, pod := range p.Pods {
		p.kill(pod, nil)
	}
	for _, service := range p.Services {
		p.remove(service)
	}
	p.dropGang()
	p.dropHPA()
	p.dropProvisioning()
}

// resume begins a suspended job anew: the incidents of its earlier life don't count, and
// what had completed runs again, because the ranks need one another.
func (p *pass) resume() {
	if !isTrue(p.status, v1.JobSuspended) {
		return
	}
	message := fmt.Sprintf("PyTorchJob %s is resumed.", p.job.Name)
	p.setCondition(v1.JobSuspended, corev1.ConditionFalse, reasonResumed, message)
	p.tell(corev1.EventTypeNormal, reasonResumed, message)
	p.status.StartTime = &metav1.Time{Time: p.Now}
	p.status.Progress = &v1.Progress{Asked: p.status.Progress.Asked}
	p.completed, p.replacing, p.fallen = memory{}, memory{}, memory{}
	p.Gone = nil
	for _, pod := range p.Pods {
		p.remember(pod, accounted) // still going; not a loss of the new life
	}
}

// missedSuspension: the job was suspended, changed and resumed before it was looked at.
// Nothing else changes the templates of a started job, so its pods are no longer its own.
// Templates are compared only when the job has changed: an upgrade may write them otherwise.
func (p *pass) missedSuspension() bool {
	seen := p.status.Progress
	return seen.Templates != "" && seen.Generation != p.Job.Generation && !isTrue(p.status, v1.JobSuspended) &&
		seen.Templates != hashTemplates(p.job)
}

// noteTemplates remembers what the job's pods are made from.
func (p *pass) noteTemplates() {
	seen := p.status.Progress
	if seen.Templates == "" || seen.Generation != p.Job.Generation {
		seen.Generation, seen.Templates = p.Job.Generation, hashTemplates(p.job)
	}
}

func hashTemplates(job *v1.PyTorchJob) string {
	hash := fnv.New64a()
	for _, role := range v1.ReplicaTypes() {
		if replicas := job.Spec.PyTorchReplicaSpecs[role]; replicas != nil {
			_ = json.NewEncoder(hash).Encode(replicas.Template) // it was decoded from JSON
		}
	}
	return fmt.Sprintf("%x", hash.Sum64())
}
