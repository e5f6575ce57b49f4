package controller

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// rememberCompleted notes which pods have succeeded: they aren't run again, also when
// somebody deletes them.
func (p *pass) rememberCompleted() {
	gone := make(map[string]*corev1.Pod, len(p.Gone))
	for _, pod := range p.Gone {
		gone[pod.Name] = pod
	}
	for _, m := range p.members {
		pod := m.pod
		if pod == nil {
			pod = gone[m.name]
		}
		if pod != nil && podSucceeded(pod) && !p.accounted(pod) && !p.completed.has(m.role, m.index) {
			p.completed.add(m.role, m.index)
			p.tellExit(pod, exit{})
		}
	}
}

// podSucceeded: the pod ended well, by itself. A program may also exit with 0 when it
// is told to go; that is not the success of the job.
func podSucceeded(pod *corev1.Pod) bool {
	if pod.Status.Phase != corev1.PodSucceeded {
		return false
	}
	if pod.DeletionTimestamp == nil {
		return true
	}
	ended, told := exitOf(pod).at, deletionStart(pod)
	if grace := pod.DeletionGracePeriodSeconds; grace != nil && *grace > 0 {
		// It had not ended when it was told to go: the apiserver gives no time to those that have.
		// So what ended in that second did so afterwards, as a rule.
		return !ended.IsZero() && ended.Before(told)
	}
	return !ended.IsZero() && !ended.After(told)
}

// deletionStart is when a terminating pod was told to go.
func deletionStart(pod *corev1.Pod) time.Time {
	start := pod.DeletionTimestamp.Time
	if grace := pod.DeletionGracePeriodSeconds; grace != nil {
		start = start.Add(-time.Duration(*grace) * time.Second)
	}
	return start
}

// succeeded is the success policy. With a Master, its success is the job's, whatever
// the Workers do. Without, all Workers have to succeed; but in an elastic job those
// that leave early leave for good, so that the first to come to the end decides.
func (p *pass) succeeded() bool {
	if p.hasMaster() {
		return p.completed.has(v1.Master, 0)
	}
	done := int32(0)
	for index := range p.size(v1.Worker) {
		if p.completed.has(v1.Worker, index) {
			done++
		}
	}
	if p.job.Spec.ElasticPolicy != nil {
		return done > 0
	}
	return done == p.size(v1.Worker)
}

func (p *pass) successMessage() string {
	if p.hasMaster() {
		return p.subject() + " is successfully completed."
	}
	return p.subject() + " successfully completed."
}

// longestLastWords is how much of a program's last words is told: an event holds 1024 bytes.
const longestLastWords = 512

// tellExit tells the end of a pod's program, with its last words if it left any.
func (p *pass) tellExit(pod *corev1.Pod, e exit) {
	message := fmt.Sprintf("Pod: %s.%s exited with code %d", pod.Namespace, pod.Name, e.code)
	if words := strings.TrimSpace(e.message); words != "" {
		message += ": " + strings.ToValidUTF8(words[max(0, len(words)-longestLastWords):], "")
	}
	p.tell(corev1.EventTypeNormal, "ExitedWithCode", message)
}
