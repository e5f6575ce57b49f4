package kube

import (
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
)

// Annotations of a PodGroup, or of a pod without one, about its standing among others.
const (
	// ExpectedDuration says how long the work runs, such as 2h30m. It may pass a
	// reservation if it ends before that is needed.
	ExpectedDuration = "lockstep.dev/expected-duration"
	// Revocable, if "true", lets the work be ended for a gang that has a reservation;
	// until then it may use reserved room.
	Revocable = "lockstep.dev/revocable"
)

func (w *wishes) duration() time.Duration {
	text, at := w.find([]string{ExpectedDuration})
	if at == nil {
		return 0
	}
	duration, err := time.ParseDuration(text)
	if err != nil || duration <= 0 {
		w.errs = append(w.errs, field.Invalid(at, text, "must be a duration above zero, such as 2h30m"))
		return 0
	}
	return duration
}

func (w *wishes) revocable() bool {
	text, at := w.find([]string{Revocable})
	if at == nil {
		return false
	}
	revocable, err := strconv.ParseBool(text)
	if err != nil {
		w.errs = append(w.errs, field.Invalid(at, text, `must be "true" or "false"`))
	}
	return revocable
}

// Duration is how long a pod says that it runs, or may run at most; zero where it
// does not say.
func Duration(pod *v1.Pod) time.Duration {
	w := wishes{annotations: pod.Annotations}
	duration := w.duration()
	if limit := pod.Spec.ActiveDeadlineSeconds; limit != nil && *limit > 0 {
		if most := time.Duration(min(*limit, 1<<31)) * time.Second; duration == 0 || most < duration {
			return most
		}
	}
	return duration
}

// Claim is what a pod without a gang claims among others.
func Claim(pod *v1.Pod) core.Claim {
	w := wishes{annotations: pod.Annotations}
	return core.Claim{Priority: Priority(pod), Duration: Duration(pod), Revocable: w.revocable()}
}

// Patient reports whether a pod must not have others evicted for it.
func Patient(pod *v1.Pod) bool {
	return pod.Spec.PreemptionPolicy != nil && *pod.Spec.PreemptionPolicy == v1.PreemptNever
}

// Started is when a pod got its node; zero while it has none.
func Started(pod *v1.Pod) time.Time {
	if pod.Spec.NodeName == "" {
		return time.Time{}
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == v1.PodScheduled && c.Status == v1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	if start := pod.Status.StartTime; start != nil {
		return start.Time
	}
	return pod.CreationTimestamp.Time
}

// Occupant translates a pod on the node at a place. ours says whether its scheduler
// is this one.
func Occupant(pod *v1.Pod, node int, ours bool, vocabulary *cluster.Vocabulary) core.Occupant {
	return core.Occupant{
		Pod: gang.Key{Namespace: pod.Namespace, Name: pod.Name}, UID: string(pod.UID), Node: node, Requests: Requests(pod, vocabulary),
		Claim: Claim(pod), Since: Started(pod), Leaving: pod.DeletionTimestamp != nil, Protected: !ours,
	}
}
