package controller

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
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

// succeededBefore: the job had come to its end when it was suspended, and only nobody had looked.
// It is not run again.
func (p *pass) succeededBefore() bool {
	if isTrue(p.status, v1.JobSuspended) {
		return false
	}
	p.rememberCompleted()
	return p.succeeded()
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
// Nothing else changes the templates of a started job that has pods, so its pods are no longer its own.
// Templates are compared only when the job has changed: an upgrade may write them otherwise.
func (p *pass) missedSuspension() bool {
	seen := p.status.Progress
	return strings.HasPrefix(seen.Templates, hashedAs) && seen.Generation != p.Job.Generation && !isTrue(p.status, v1.JobSuspended) &&
		seen.Templates != hashTemplates(p.job) && !p.unmade()
}

// unmade: pods could not be made, and there is none. The templates may be the reason, so they may be mended.
func (p *pass) unmade() bool { return len(p.Pods) == 0 && isTrue(p.status, v1.JobCreateFailed) }

// noteTemplates remembers what the job's pods are made from. A controller that has just started may be a
// newer one, which writes the same templates in another way.
func (p *pass) noteTemplates() {
	seen := p.status.Progress
	if seen.Templates == "" || seen.Generation != p.Job.Generation || p.First {
		seen.Generation, seen.Templates = p.Job.Generation, hashTemplates(p.job)
	}
}

// hashedAs begins a hash that is made as it is below. Others cannot be compared with one.
const hashedAs = "2-"

// hashTemplates is the same for templates that a started job may have one after the other: the rules of the
// definition compare what reaches the pods, and quantities by their amounts (hack/crdgen, essence).
func hashTemplates(job *v1.PyTorchJob) string {
	hash := fnv.New64a()
	for _, role := range v1.ReplicaTypes() {
		replicas := job.Spec.PyTorchReplicaSpecs[role]
		if replicas == nil {
			continue
		}
		template := replicas.Template.DeepCopy()
		template.ObjectMeta = metav1.ObjectMeta{Labels: template.Labels, Annotations: template.Annotations, Finalizers: template.Finalizers}
		for _, list := range amountsOf(&template.Spec) {
			for name, amount := range list {
				list[name] = *resource.NewDecimalQuantity(*amount.AsDec(), resource.DecimalSI)
			}
		}
		_ = json.NewEncoder(hash).Encode(template) // it was decoded from JSON
	}
	return fmt.Sprintf("%s%x", hashedAs, hash.Sum64())
}

// amountsOf are all lists of quantities in a pod's spec.
func amountsOf(spec *corev1.PodSpec) []corev1.ResourceList {
	lists := []corev1.ResourceList{spec.Overhead}
	if spec.Resources != nil {
		lists = append(lists, spec.Resources.Limits, spec.Resources.Requests)
	}
	for _, containers := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
		for i := range containers {
			lists = append(lists, containers[i].Resources.Limits, containers[i].Resources.Requests)
		}
	}
	return lists
}
