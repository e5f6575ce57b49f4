package core

import (
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
)

// Census counts gangs, for those who watch from afar.
type Census struct {
	Phases map[gang.Phase]int
	// Waiting are the gangs whose floor has no place, by queue and reason.
	Waiting map[Waits]int
	// Longest is how long the one that has waited longest has done so, by queue.
	Longest map[string]time.Duration
	// Reserved counts those for which room is kept, by what that is for.
	Reserved map[ReservationKind]int
	// Queues are as of the last look at the cluster; none before there was one.
	Queues []Share
}

// Waits is where a gang waits and why: its reason, or its phase while there is none. The
// queue is empty for a gang in none.
type Waits struct{ Queue, Reason string }

// Share is what a queue has, with all that is in the queues below it.
type Share struct {
	Queue            string
	Held, Guaranteed cluster.Resources
	Cap              map[int]int64 // by resource; one that is not there has no cap
}

// Census counts the gangs as of now.
func (c *Core) Census(now time.Time) Census {
	census := Census{
		Phases: map[gang.Phase]int{}, Waiting: map[Waits]int{}, Longest: map[string]time.Duration{}, Reserved: map[ReservationKind]int{},
	}
	for _, g := range c.order {
		if !g.known {
			continue
		}
		phase := g.phase()
		census.Phases[phase]++
		if g.reservation != nil {
			census.Reserved[g.reservation.Kind]++
		}
		if phase == gang.Placed {
			continue
		}
		reason := string(c.status(g).Reason.Code)
		if reason == "" {
			reason = string(phase)
		}
		census.Waiting[Waits{g.spec.Queue, reason}]++
		census.Longest[g.spec.Queue] = max(census.Longest[g.spec.Queue], now.Sub(g.spec.Created))
	}
	if u := c.shares.usage; u != nil {
		for _, name := range c.shares.Tree.Queues() {
			q, _ := c.shares.Tree.Queue(name)
			census.Queues = append(census.Queues, Share{Queue: name, Held: u.Used(name), Guaranteed: q.Guaranteed, Cap: q.Cap})
		}
	}
	return census
}
