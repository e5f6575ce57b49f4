package controller

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// Reasons of conditions and of the events that go with them.
const (
	reasonCreated    = "PyTorchJobCreated"
	reasonRunning    = "PyTorchJobRunning"
	reasonRestarting = "PyTorchJobRestarting"
	reasonSuspended  = "PyTorchJobSuspended"
	reasonResumed    = "PyTorchJobResumed"
	reasonSucceeded  = "PyTorchJobSucceeded"
	reasonFailed     = "PyTorchJobFailed"
	reasonInvalid    = "PyTorchJobInvalid"
)

// conditionScaleClamped is True while an elastic job has another size than asked for.
const conditionScaleClamped v1.JobConditionType = "ScaleClamped"

// conditionAutoscaled shows what the recommender decided on the size, and why.
const conditionAutoscaled v1.JobConditionType = "Autoscaled"

// life is the order of conditions. Those before Created describe trouble and are
// never the job's state.
var life = []v1.JobConditionType{
	v1.JobCreateFailed, conditionQueueNotFound, conditionScaleClamped, conditionAutoscaled, conditionProvisioned, v1.JobSidecarRuns,
	v1.JobCreated, v1.JobSuspended, v1.JobRunning, v1.JobRestarting, v1.JobSucceeded, v1.JobFailed, v1.JobInvalid,
}

func stage(t v1.JobConditionType) int { return slices.Index(life, t) }

// condition returns the condition of a type, nil if there is none.
func condition(status *v1.JobStatus, t v1.JobConditionType) *v1.JobCondition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == t {
			return &status.Conditions[i]
		}
	}
	return nil
}

func isTrue(status *v1.JobStatus, t v1.JobConditionType) bool {
	c := condition(status, t)
	return c != nil && c.Status == corev1.ConditionTrue
}

func finished(status *v1.JobStatus) bool {
	return isTrue(status, v1.JobSucceeded) || isTrue(status, v1.JobFailed)
}

// setCondition writes a condition; its times change only with its content.
func (p *pass) setCondition(t v1.JobConditionType, truth corev1.ConditionStatus, reason, message string) {
	now := metav1.NewTime(p.Now)
	c := condition(p.status, t)
	switch {
	case c == nil:
		p.status.Conditions = append(p.status.Conditions, v1.JobCondition{Type: t, LastTransitionTime: now})
		c = &p.status.Conditions[len(p.status.Conditions)-1]
	case c.Status == truth && c.Reason == reason && c.Message == message:
		return
	case c.Status != truth:
		c.LastTransitionTime = now
	}
	c.Status, c.Reason, c.Message, c.LastUpdateTime = truth, reason, message, now
}

func (p *pass) dropCondition(t v1.JobConditionType) {
	p.status.Conditions = slices.DeleteFunc(p.status.Conditions, func(c v1.JobCondition) bool { return c.Type == t })
}

// become makes t the job's state, and tells it when it is a change.
func (p *pass) become(t v1.JobConditionType, eventType, reason, message string) {
	if !isTrue(p.status, t) {
		p.tell(eventType, reason, message)
		p.setCondition(t, corev1.ConditionTrue, reason, message)
	}
}

// leaveRunning ends the states that a job with running pods has.
func (p *pass) leaveRunning(reason, message string) {
	p.dropCondition(v1.JobRestarting)
	if isTrue(p.status, v1.JobRunning) {
		p.setCondition(v1.JobRunning, corev1.ConditionFalse, reason, message)
	}
}

// order puts the conditions into the order of a job's life, its current state last.
func order(conditions []v1.JobCondition) {
	current := -1
	for _, c := range conditions {
		if c.Status == corev1.ConditionTrue {
			current = max(current, stage(c.Type))
		}
	}
	slices.SortStableFunc(conditions, func(a, b v1.JobCondition) int {
		if last := stage(a.Type) == current; last != (stage(b.Type) == current) {
			if last {
				return 1
			}
			return -1
		}
		return stage(a.Type) - stage(b.Type)
	})
}
