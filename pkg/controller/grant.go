package controller

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// regrowAfter is how long a job that gave Workers away waits, at least, before it asks for
// them again: each change costs all Workers the work since their last checkpoint.
const regrowAfter = time.Minute

// yield takes note of Workers that gave way to another gang. The job goes on without them:
// they are not asked for again at once, which would only make them pend beside a gang that
// needed the room. Where a member of the floor has to go there is no smaller job: all of
// it goes, and waits whole.
func (p *pass) yield() {
	elastic, progress := p.job.Spec.ElasticPolicy, p.status.Progress
	if elastic == nil || progress.Workers == nil {
		return
	}
	sights := p.sights()
	left, why := *progress.Workers, ""
	for ; left > *elastic.MinReplicas; left-- {
		pod := sights[v1.PodName(p.job.Name, v1.Worker, left-1)]
		if pod != nil && p.accounted(pod) {
			continue // it has ended, or is still going from before a suspension
		}
		cause := preemption(pod)
		if cause == nil && pod != nil && pod.Spec.NodeName != "" {
			break // it has a node, and keeps it
		}
		if cause != nil {
			why = fmt.Sprintf("%s gave way: %s", pod.Name, cause.Message)
		}
	}
	if why == "" || p.floorPreempted(sights) {
		return
	}
	progress.Granted = &v1.Grant{Workers: left, Since: metav1.NewTime(p.Now), Reason: why}
	p.yielded = true
}

// sights are the job's pods by name, those that have just gone included.
func (p *pass) sights() map[string]*corev1.Pod {
	sights := make(map[string]*corev1.Pod, len(p.Pods)+len(p.Gone))
	for _, pods := range [][]*corev1.Pod{p.Gone, p.Pods} {
		for _, pod := range pods {
			sights[pod.Name] = pod
		}
	}
	return sights
}

func (p *pass) floorPreempted(sights map[string]*corev1.Pod) bool {
	for _, role := range v1.ReplicaTypes() {
		for index := range min(p.size(role), *p.job.Spec.ElasticPolicy.MinReplicas) {
			if preemption(sights[v1.PodName(p.job.Name, role, index)]) != nil {
				return true
			}
		}
	}
	return false
}

// preemption is the condition of a pod that goes because others need its room; nil: it
// goes for another reason, or not at all.
func preemption(pod *corev1.Pod) *corev1.PodCondition {
	if pod == nil {
		return nil
	}
	for i, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue && strings.HasPrefix(c.Reason, "Preempt") {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// granted is the number of Workers that the job may have now, most where nothing limits it. A limit
// below a range that has been raised since is void: there is no smaller job.
func (p *pass) granted(least, most int32) int32 {
	grant := p.status.Progress.Granted
	if grant == nil {
		return most
	}
	until := p.grantEnds()
	if !p.Now.Before(until) || grant.Workers < least {
		p.status.Progress.Granted = nil
		return most
	}
	p.wakeAt(until)
	return min(most, grant.Workers)
}

// grantEnds is when the job asks for more Workers again.
func (p *pass) grantEnds() time.Time {
	return p.status.Progress.Granted.Since.Add(max(regrowAfter, p.terms.Cooldown))
}
