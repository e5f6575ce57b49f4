package core

import (
	"slices"
	"strings"
	"time"

	"lockstep.dev/lockstep/pkg/gang"
)

// A member that ran is gone, and what it had is free before the one is made that comes in its
// place. Whoever got that room meanwhile would leave the others of the gang running for
// nothing until they are healed or evicted. So it is reserved at once, for as long as a gang
// may be bound in part.

// keepForReplacement reserves the room of a member that ran for the one that comes in its
// place, together with that of others whose replacements are awaited.
func (c *Core) keepForReplacement(now time.Time, g *group, left Room) {
	r := reservation{Reservation: Reservation{Kind: Replacing, Since: now, Start: now}}
	if g.reservation != nil {
		r = *g.reservation
	}
	if !c.acting || r.Kind != Replacing || !g.outlasts(&r.Reservation) {
		return
	}
	place, found := slices.BinarySearchFunc(r.Room, left.Node, func(room Room, node string) int { return strings.Compare(room.Node, node) })
	r.Room = slices.Clone(r.Room)
	if found {
		r.Room[place].Amounts = r.Room[place].Amounts.Clone().Add(left.Amounts)
	} else {
		r.Room = slices.Insert(r.Room, place, left)
	}
	c.reserve(g, r)
}

// replaces reports whether members of the gang run for nothing until others come in the place
// of some that have gone. A gang of which a member has succeeded is about to end.
func (g *group) replaces() bool {
	counts := g.counts()
	return counts.Bound > 0 && counts.Finished == 0 && g.lacks() &&
		!slices.ContainsFunc(g.members, func(m *member) bool { return m.state == gang.Bound && m.evicted.Code != "" })
}

// lacks reports whether fewer members have a place than the floor, those aside that are planned.
func (g *group) lacks() bool {
	counts := g.counts()
	return counts.Placed()-counts.Held < g.floor()
}

// wakeRefused has the gangs tried that had no place: room has come free without a node changing.
func (c *Core) wakeRefused() {
	for _, g := range c.order {
		if g.refusal != nil && g.wantsRoom() {
			c.activateLeader(g)
		}
	}
}

// replacing reports whether room is reserved for members that come in the place of others.
func (g *group) replacing() bool { return g.reservation != nil && g.reservation.Kind == Replacing }

// notThere takes in that a node was refused: what a member had there is of no use to the one
// that comes in its place.
func (c *Core) notThere(g *group, node string) {
	if g.replacing() && g.reservation.on(node) != nil {
		c.unreserve(g)
	}
}
