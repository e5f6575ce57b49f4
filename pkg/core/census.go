package core

import (
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
)

// Census counts gangs, for those who watch from afar.
type Census struct {
	Phases map[gang.Phase]int
	// Waiting are the gangs whose floor has no place, by key.
	Waiting []Waits
	// Reserved counts those for which room is kept, by what that is for.
	Reserved map[ReservationKind]int
	// Queues are as of the last look at the cluster; none before there was one.
	Queues []Share
}

// Waits is where a gang waits and why: its reason, or its phase while there is none. The
// queue is empty for a gang in none.
type Waits struct {
	Key           gang.Key
	Queue, Reason string
}

// Share is what a queue has, with all that is in the queues below it.
type Share struct {
	Queue            string
	Held, Guaranteed cluster.Resources
	Cap              map[int]int64 // by resource; one that is not there has no cap
}

// Census counts the gangs. It is not ok before the core acts: then another has it to tell.
func (c *Core) Census() (census Census, ok bool) {
	if !c.acting {
		return Census{}, false
	}
	census = Census{Phases: map[gang.Phase]int{}, Reserved: map[ReservationKind]int{}}
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
		census.Waiting = append(census.Waiting, Waits{g.key, g.spec.Queue, reason})
	}
	if u := c.shares.usage; u != nil {
		for _, name := range c.shares.Tree.Queues() {
			q, _ := c.shares.Tree.Queue(name)
			census.Queues = append(census.Queues, Share{Queue: name, Held: u.Used(name), Guaranteed: q.Guaranteed, Cap: q.Cap})
		}
	}
	return census, true
}
