package processnode

import (
	"time"

	v1 "k8s.io/api/core/v1"
)

// The back-off of a crashing container doubles like a kubelet's, but is made for a person who waits: it
// starts at one second instead of ten, and ends at thirty seconds instead of five minutes.
const (
	firstBackOff = time.Second
	maxBackOff   = 30 * time.Second
	// calmAfter is how long a container must run to start again with no back-off.
	calmAfter = 2 * time.Minute
)

// restarts says whether a container that exited runs again.
func restarts(policy v1.RestartPolicy, code int32) bool {
	switch policy {
	case v1.RestartPolicyNever:
		return false
	case v1.RestartPolicyOnFailure:
		return code != 0
	default:
		return true
	}
}

// backOff is the wait before the next start, from the wait before the last one and the time that the container ran.
// The first restart is immediate.
func backOff(last time.Duration, crashes int, ran time.Duration) time.Duration {
	switch {
	case crashes <= 1 || ran >= calmAfter:
		return 0
	case last == 0:
		return firstBackOff
	default:
		return min(2*last, maxBackOff)
	}
}

// containerPolicy is the restart policy of one container of a pod.
func containerPolicy(pod *v1.Pod, c *v1.Container, isInit bool) v1.RestartPolicy {
	switch {
	case isSidecar(c, isInit):
		return v1.RestartPolicyAlways
	case !isInit && c.RestartPolicy != nil:
		return v1.RestartPolicy(*c.RestartPolicy)
	case isInit && pod.Spec.RestartPolicy == v1.RestartPolicyAlways:
		return v1.RestartPolicyOnFailure
	default:
		return pod.Spec.RestartPolicy
	}
}

// isSidecar is an init container that keeps running beside the main ones.
func isSidecar(c *v1.Container, isInit bool) bool {
	return isInit && c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways
}
