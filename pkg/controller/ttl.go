package controller

import "time"

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
