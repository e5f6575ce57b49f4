package controller

import (
	"fmt"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/kube"
)

// handedDown are the beginnings of annotation names that go from the PodGroup when they
// go from the job. Others may be the scheduler's.
var handedDown = []string{"lockstep.dev/topology-", kube.ExpectedDuration, kube.Revocable, "kueue.x-k8s.io/podset-"}

// wantPodGroup keeps the job's PodGroup as it should be. False: the job must wait.
func (p *pass) wantPodGroup() bool {
	wanted := p.buildPodGroup()
	switch have := p.PodGroup; {
	case have == nil:
		if p.mayCreate() {
			p.plan.Create = append(p.plan.Create, wanted)
		}
	case !p.owned(have), have.DeletionTimestamp != nil:
		return false
	default:
		p.patchPodGroup(have, wanted)
	}
	return true
}

func (p *pass) patchPodGroup(have, wanted *scheduling.PodGroup) {
	next := have.DeepCopy()
	next.Spec = wanted.Spec
	for name := range have.Annotations {
		for _, begin := range handedDown {
			if strings.HasPrefix(name, begin) && wanted.Annotations[name] == "" {
				delete(next.Annotations, name)
			}
		}
	}
	if queue, named := wanted.Labels[kube.QueueLabel]; !named {
		delete(next.Labels, kube.QueueLabel)
	} else if next.Labels == nil {
		next.Labels = wanted.Labels
	} else {
		next.Labels[kube.QueueLabel] = queue
	}
	if next.Annotations == nil {
		next.Annotations = wanted.Annotations
	} else {
		maps.Copy(next.Annotations, wanted.Annotations)
	}
	if !equality.Semantic.DeepEqual(have, next) && p.mayTry("PodGroup") {
		p.plan.Patch = append(p.plan.Patch, Patch{have, next})
	}
}

func (p *pass) buildPodGroup() *scheduling.PodGroup {
	group := &scheduling.PodGroup{
		TypeMeta: metav1.TypeMeta{APIVersion: scheduling.SchemeGroupVersion.String(), Kind: "PodGroup"},
		ObjectMeta: metav1.ObjectMeta{
			Name:            p.job.Name,
			Namespace:       p.job.Namespace,
			Labels:          p.queueLabel(),
			Annotations:     p.gangAnnotations(),
			OwnerReferences: p.owner(),
		},
		Spec: scheduling.PodGroupSpec{MinMember: p.minMember(), MinResources: p.minResources()},
	}
	if policy := p.job.Spec.RunPolicy.SchedulingPolicy; policy != nil && policy.ScheduleTimeoutSeconds != nil {
		seconds := min(*policy.ScheduleTimeoutSeconds, v1.MaxScheduleTimeout)
		group.Spec.ScheduleTimeoutSeconds = &seconds
	}
	return group
}

// queueLabel puts the gang into the queue that the job names.
func (p *pass) queueLabel() map[string]string {
	if name := namedQueue(p.job); name != "" {
		return map[string]string{kube.QueueLabel: name}
	}
	return nil
}

// gangAnnotations are the job's, and how long it may run at most where it does not say
// how long it does: who ends in time may pass a reservation.
func (p *pass) gangAnnotations() map[string]string {
	annotations := maps.Clone(p.Job.Annotations)
	delete(annotations, corev1.LastAppliedConfigAnnotation)
	if limit := p.job.Spec.RunPolicy.ActiveDeadlineSeconds; limit != nil && *limit > 0 && annotations[v1.AnnotationExpectedDuration] == "" {
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[v1.AnnotationExpectedDuration] = (time.Duration(min(*limit, 1<<31)) * time.Second).String()
	}
	if len(annotations) == 0 {
		return nil
	}
	return annotations
}

// floor is the number of members below which the gang is of no use. It does not move
// with the size of an elastic job, unless that is smaller.
func (p *pass) floor() int32 {
	all := int32(len(p.members))
	if policy := p.job.Spec.RunPolicy.SchedulingPolicy; policy != nil && policy.MinAvailable != nil {
		return min(*policy.MinAvailable, all)
	}
	if elastic := p.job.Spec.ElasticPolicy; elastic != nil {
		least := *elastic.MinReplicas
		if p.hasMaster() {
			least++
		}
		return least
	}
	return all
}

// minMember is the floor that the scheduler is told. A pod that has succeeded counts there for as
// long as it exists; once it is gone the others have to do without it, for it is not run again.
func (p *pass) minMember() int32 {
	gone := int32(0)
	for _, m := range p.members {
		if m.pod == nil && p.completed.has(m.role, m.index) {
			gone++
		}
	}
	return max(1, p.floor()-gone)
}

// minResources is what the first members, up to the floor, ask for.
func (p *pass) minResources() corev1.ResourceList {
	if policy := p.job.Spec.RunPolicy.SchedulingPolicy; policy != nil && policy.MinResources != nil {
		return *policy.MinResources
	}
	sum := corev1.ResourceList{}
	left := int64(p.minMember())
	for _, role := range v1.ReplicaTypes() {
		if p.job.Spec.PyTorchReplicaSpecs[role] == nil {
			continue
		}
		count := left
		if role == v1.Master {
			count = min(left, 1)
		}
		left -= count
		for name, quantity := range podRequests(&p.buildPod(member{role: role}).Spec) {
			quantity.Mul(count)
			if total, ok := sum[name]; ok {
				quantity.Add(total)
			}
			if !quantity.IsZero() {
				sum[name] = quantity
			}
		}
	}
	if len(sum) == 0 {
		return nil
	}
	return sum
}

// dropGang takes the PodGroup away from a job that holds nothing any more.
func (p *pass) dropGang() {
	if p.PodGroup == nil || !p.owned(p.PodGroup) || p.PodGroup.DeletionTimestamp != nil {
		return
	}
	p.tell(corev1.EventTypeNormal, "JobTerminated", "Job has been terminated. Deleting PodGroup")
	p.remove(p.PodGroup)
}

// obstacle is why something cannot be created now; nil: nothing is in the way.
func (p *pass) obstacle() *Trouble {
	if p.PodGroup != nil && !p.owned(p.PodGroup) {
		return &Trouble{Reason: "PodGroupConflict", Message: fmt.Sprintf(
			"podgroups.scheduling.x-k8s.io %s/%s belongs to someone else: delete it, or give the job another name",
			p.PodGroup.Namespace, p.PodGroup.Name)}
	}
	if p.autoscaled() && p.Rival == "" && p.HPA != nil && !p.owned(p.HPA) &&
		(p.Trouble == nil || p.Trouble.taken == autoscalerKind+"/"+p.HPA.Name) { // or ours was tried before theirs was heard of
		return &Trouble{Reason: "AutoscalerConflict", Message: fmt.Sprintf(
			"horizontalpodautoscalers.autoscaling %s/%s belongs to someone else: delete it, or give the job another name",
			p.HPA.Namespace, p.HPA.Name)}
	}
	return p.Trouble
}

// noteTrouble shows a failed creation on the job, and tells it when it is news.
func (p *pass) noteTrouble() {
	trouble := p.obstacle()
	if trouble == nil {
		p.dropCondition(v1.JobCreateFailed)
		return
	}
	c := condition(p.status, v1.JobCreateFailed)
	if c == nil || c.Reason != trouble.Reason || c.Message != trouble.Message {
		p.tell(corev1.EventTypeWarning, trouble.Reason, trouble.Message)
	}
	p.setCondition(v1.JobCreateFailed, corev1.ConditionTrue, trouble.Reason, trouble.Message)
	if p.Trouble != nil && p.Now.Before(p.Trouble.Retry) {
		p.wakeAt(p.Trouble.Retry)
	}
}

// mayCreate keeps back what would probably fail as it did before.
func (p *pass) mayCreate() bool {
	return p.Trouble == nil || p.Trouble.kind == autoscalerKind || p.mayTry(p.Trouble.kind)
}

// mayTry is that for a change of one kind of object, which does not wait for the others.
func (p *pass) mayTry(kind string) bool {
	if p.Trouble == nil || p.Trouble.kind != kind || !p.Now.Before(p.Trouble.Retry) {
		return true
	}
	p.wakeAt(p.Trouble.Retry)
	return false
}
