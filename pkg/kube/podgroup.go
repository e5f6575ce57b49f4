package kube

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
)

// PodGroups is the resource of the gang API. Kubernetes itself has another kind
// of the same name in group scheduling.k8s.io.
var PodGroups = schema.GroupVersionResource{Group: "scheduling.x-k8s.io", Version: "v1alpha1", Resource: "podgroups"}

// PodGroupKind is the kind of a PodGroup.
var PodGroupKind = schema.GroupVersionKind{Group: "scheduling.x-k8s.io", Version: "v1alpha1", Kind: "PodGroup"}

// maxPermit is the framework's own bound on waiting in Permit; a longer wish
// would be cut silently.
const maxPermit = 15 * time.Minute

// PermitTimeout is how long members may stay reserved until the floor is; the
// given default where the PodGroup does not say.
func PermitTimeout(pg *v1alpha1.PodGroup, otherwise time.Duration) time.Duration {
	if pg == nil || pg.Spec.ScheduleTimeoutSeconds == nil || *pg.Spec.ScheduleTimeoutSeconds <= 0 {
		return otherwise
	}
	return min(time.Duration(*pg.Spec.ScheduleTimeoutSeconds)*time.Second, maxPermit)
}

// ScheduledCondition is the type of the condition that says whether a gang has
// its place, and if not, why not.
const ScheduledCondition = "Scheduled"

// GroupStatus is the part of a PodGroup's status that the scheduler writes. The
// conditions and the reservation are an addition of ours to the type; an apiserver
// with the original definition drops them.
type GroupStatus struct {
	Phase      v1alpha1.PodGroupPhase `json:"phase,omitempty"`
	Running    int32                  `json:"running"`
	Succeeded  int32                  `json:"succeeded"`
	Conditions []metav1.Condition     `json:"conditions,omitempty"`
	// Reservation is written as null where there is none, which takes an earlier one away.
	Reservation *Reservation `json:"reservation"`
}

// Next is the status that follows from where a gang stands, from how many of its
// members run and have succeeded, and from what is reserved for it; changed says
// whether it differs.
func (s GroupStatus) Next(
	status core.Status, running, succeeded int, reservation *Reservation, generation int64, now metav1.Time,
) (next GroupStatus, changed bool) {
	next = GroupStatus{
		Reservation: reservation,
		Phase:       phase(status, running, succeeded), Running: int32(running), Succeeded: int32(succeeded),
		Conditions: append([]metav1.Condition(nil), s.Conditions...),
	}
	condition := metav1.Condition{
		Type: ScheduledCondition, Status: metav1.ConditionFalse, ObservedGeneration: generation, LastTransitionTime: now,
		Reason: string(status.Reason.Code), Message: Sentence(status),
	}
	if status.Phase == gang.Placed {
		condition.Status = metav1.ConditionTrue
	}
	if condition.Reason == "" || status.Phase == gang.Placed {
		condition.Reason = string(status.Phase)
	}
	changed = meta.SetStatusCondition(&next.Conditions, condition)
	return next, changed || next.Phase != s.Phase || next.Running != s.Running || next.Succeeded != s.Succeeded ||
		!next.Reservation.equal(s.Reservation)
}

// phase puts a gang's standing into the words of the PodGroup API.
func phase(status core.Status, running, succeeded int) v1alpha1.PodGroupPhase {
	switch {
	case succeeded >= status.Floor:
		return v1alpha1.PodGroupFinished
	case status.Phase == gang.Placed && running+succeeded >= status.Floor:
		return v1alpha1.PodGroupRunning
	case status.Phase == gang.Placed:
		return v1alpha1.PodGroupScheduling
	case status.Phase == gang.Healing, status.Phase == gang.Degraded:
		return v1alpha1.PodGroupUnknown
	}
	return v1alpha1.PodGroupPending
}

// one chooses between singular and plural.
func one(n int, single, plural string) string {
	if n == 1 {
		return single
	}
	return plural
}

// Sentence says where a gang stands, for conditions, events and people.
func Sentence(status core.Status) string {
	counts := status.Counts
	switch status.Phase {
	case gang.Placed:
		text := fmt.Sprintf("%d %s a node; %d %s needed", counts.Placed(), one(counts.Placed(), "member has", "members have"),
			status.Floor, one(status.Floor, "is", "are"))
		if status.Reason.Code != "" {
			text += fmt.Sprintf("; %d more may not be tried: %s", counts.Waiting, status.Reason.Message)
		}
		return text
	case gang.Queued:
		if status.Reason.Message == "" {
			return "complete; waits for its turn"
		}
	case gang.Healing:
		text := fmt.Sprintf("%d of %d members are bound, the rest is being placed close to them", counts.Bound, status.Floor)
		if status.Reason.Message != "" {
			text += ": " + status.Reason.Message
		}
		return text
	case gang.Degraded:
		if status.Reason.Code == core.MemberStopped {
			return fmt.Sprintf("%d of %d members are bound; %s", counts.Bound, status.Floor, status.Reason.Message)
		}
		return fmt.Sprintf("%d of %d members are bound and the others do not exist; their controller has to create them",
			counts.Bound, status.Floor)
	case gang.Incomplete, gang.Planned, gang.Releasing:
	}
	return status.Reason.Message
}
