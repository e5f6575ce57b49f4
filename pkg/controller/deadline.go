package controller

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// longest is a hundred years in seconds; a time.Duration holds three times as much.
const longest = 100 * 365 * 24 * 3600

// deadlinePassed ends a job that has been active for too long. Before that it sets the
// alarm: on a silent cluster nothing else would call.
func (p *pass) deadlinePassed() bool {
	seconds := p.job.Spec.RunPolicy.ActiveDeadlineSeconds
	if seconds == nil {
		return false
	}
	// The stored start has lost its fraction of a second: one more, so as not to be early.
	deadline := p.status.StartTime.Add(time.Duration(min(*seconds, longest)+1) * time.Second)
	if p.Now.Before(deadline) {
		p.wakeAt(deadline)
		return false
	}
	p.status.Progress.Stopped = true
	p.finish(v1.JobFailed, corev1.EventTypeNormal,
		fmt.Sprintf("Job %s has failed because it was active longer than specified deadline", p.job.Name))
	return true
}
