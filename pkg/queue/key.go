package queue

import "time"

// Key places one pod in the queue.
type Key struct {
	// Settled pods come before all others: they have a place already, or their
	// gang is half bound and has to be healed.
	Settled bool
	// Priority: the higher goes first.
	Priority int32
	// Turn orders queues of equal priority by what they hold: the lower goes first.
	Turn int
	// Since: the older goes first. All members of a gang share their gang's age.
	Since time.Time
	// Group keeps the members of one gang together; empty for a pod without one.
	Group string
	// Rank orders the members of a gang.
	Rank int
	// UID makes the order total.
	UID string
}

// Less reports whether a is tried before b. It is a strict total order.
func Less(a, b Key) bool {
	switch {
	case a.Settled != b.Settled:
		return a.Settled
	case a.Priority != b.Priority:
		return a.Priority > b.Priority
	case a.Turn != b.Turn:
		return a.Turn < b.Turn
	case !a.Since.Equal(b.Since):
		return a.Since.Before(b.Since)
	case a.Group != b.Group:
		return a.Group < b.Group
	case a.Rank != b.Rank:
		return a.Rank < b.Rank
	}
	return a.UID < b.UID
}
