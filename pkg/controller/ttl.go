package controller

import (
	"time"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// complete gives a job that has ended under another operator its completion time, where
// that has left it out.
func (p *pass) complete() {
	if p.status.CompletionTime != nil {
		return
	}
	for _, t := range []v1.JobConditionType{v1.JobSucceeded, v1.JobFailed} {
		if isTrue(p.status, t) {
			p.status.CompletionTime = condition(p.status, t).LastTransitionTime.DeepCopy()
		}
	}
}

// expire deletes a job some time after its end.
func (p *pass) expire() {
	ttl := p.job.Spec.RunPolicy.TTLSecondsAfterFinished
	if ttl == nil || p.status.CompletionTime == nil {
		return
	}
	expiry := p.status.CompletionTime.Add(time.Duration(*ttl) * time.Second)
	if p.Now.Before(expiry) {
		p.wakeAt(expiry)
		return
	}
	p.plan.DeleteJob = true
}
