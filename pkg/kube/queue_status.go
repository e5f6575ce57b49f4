package kube

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/quota"
)

// ValidCondition is the type of the condition that says whether a queue counts as it
// is written.
const ValidCondition = "Valid"

// leastNews is the change of what a queue has borrowed that is worth writing, in
// billionths of the cluster.
const leastNews = 1_000_000

// NextQueueStatus is the status that follows from what is wrong with a queue and from
// what it has borrowed of late; the nil history leaves that as it is. changed says
// whether it is worth writing.
func NextQueueStatus(queue *lockstepv1alpha1.Queue, faults []Fault, late *quota.History, now time.Time) (next lockstepv1alpha1.QueueStatus, changed bool) {
	next = *queue.Status.DeepCopy()
	condition := metav1.Condition{
		Type: ValidCondition, Status: metav1.ConditionTrue, Reason: "AsWritten", ObservedGeneration: queue.Generation, LastTransitionTime: metav1.NewTime(now),
	}
	said := []string{"the queue counts as it is written"}
	for _, fault := range faults {
		if !fault.Mild && condition.Status == metav1.ConditionTrue {
			condition.Status, condition.Reason, said = metav1.ConditionFalse, "Faulty", nil
		}
	}
	for _, fault := range faults {
		said = append(said, fault.Field+": "+fault.Text)
	}
	condition.Message = strings.Join(said, "; ")
	changed = meta.SetStatusCondition(&next.Conditions, condition)
	if late == nil {
		return next, changed
	}
	borrowed, before := late.Billionths(queue.Name), int64(0)
	if next.History != nil {
		before = next.History.Borrowed
	}
	if borrowed > before+leastNews || borrowed < before-leastNews {
		next.History = &lockstepv1alpha1.QueueHistory{At: metav1.NewTime(late.At), Borrowed: borrowed}
		changed = true
	}
	return next, changed
}

// SameCondition reports whether what is wrong with a queue stands in its status already.
func SameCondition(before, next lockstepv1alpha1.QueueStatus) bool {
	was, is := meta.FindStatusCondition(before.Conditions, ValidCondition), meta.FindStatusCondition(next.Conditions, ValidCondition)
	return was != nil && is != nil && was.Status == is.Status && was.Message == is.Message
}

// Late is what queues have borrowed of late, by their status. What has not been written
// for a while has not changed since.
func Late(queues []*lockstepv1alpha1.Queue) quota.History {
	late := quota.History{}
	shares := map[string]int64{}
	for _, queue := range queues {
		if h := queue.Status.History; h != nil {
			shares[queue.Name] = h.Borrowed
			if h.At.After(late.At) {
				late.At = h.At.Time
			}
		}
	}
	return quota.Remembered(late.At, shares)
}
