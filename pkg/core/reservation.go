package core

import (
	"slices"
	"strings"
	"time"

	"lockstep.dev/lockstep/pkg/backfill"
	"lockstep.dev/lockstep/pkg/cluster"
)

// ReservationKind says what a reservation waits for.
type ReservationKind string

const (
	// Preempting is when victims were evicted, and the room is the gang's when they are gone.
	Preempting ReservationKind = "Preempting"
	// Draining is when nobody is evicted; the room is the gang's when what runs there ends.
	Draining ReservationKind = "Draining"
	// Replacing is when a member that ran is gone and the others run on: the room is for
	// whoever comes in its place.
	Replacing ReservationKind = "Replacing"
)

// Reservation is room that is promised to a gang which does not fit yet. It is more
// than what is free there: whatever comes free is kept from others up to it.
type Reservation struct {
	Kind ReservationKind
	// Room is what is promised, sorted by node.
	Room []Room
	// Since is when it was made, Start when the gang is expected to start.
	Since, Start time.Time
	// Order is its number: those with a higher one were planned around it.
	Order uint64
}

// Room is an amount on one node.
type Room struct {
	Node    string
	Amounts cluster.Resources
}

// Equal reports whether two reservations, or two nils, promise the same.
func (r *Reservation) Equal(o *Reservation) bool {
	if r == nil || o == nil {
		return r == o
	}
	return r.Kind == o.Kind && r.Order == o.Order && r.Since.Equal(o.Since) && r.Start.Equal(o.Start) &&
		slices.EqualFunc(r.Room, o.Room, func(a, b Room) bool { return a.Node == b.Node && equal(a.Amounts, b.Amounts) })
}

// reservation is one with what only this life of the scheduler knows.
type reservation struct {
	Reservation
	// victims are the UIDs of the pods evicted for it.
	victims map[string]bool
}

// Claim is what matters of somebody who wants room that may be reserved.
type Claim struct {
	Priority int32
	// Duration is how long it says to run; zero where it does not say.
	Duration time.Duration
	// Revocable work lets itself be ended for whoever has a reservation.
	Revocable bool
	// Queue is the one that it is charged to, and Asked what it would hold in it beside
	// what it has, in the terms of the queues.
	Queue string
	Asked cluster.Resources
}

// byNode is what is promised.
func (r *Reservation) byNode() ledger {
	amounts := ledger{}
	for _, room := range r.Room {
		amounts.add(room.Node, room.Amounts)
	}
	return amounts
}

// on returns what is promised on a node; nil where nothing is.
func (r *Reservation) on(node string) cluster.Resources {
	i, found := slices.BinarySearchFunc(r.Room, node, func(room Room, node string) int { return strings.Compare(room.Node, node) })
	if !found {
		return nil
	}
	return r.Room[i].Amounts
}

// claim is a gang's.
func (c *Core) claim(g *group) Claim {
	claim := g.standing()
	if c.shares.usage != nil {
		claim.Asked = c.account(g).wants
	}
	return claim
}

// standing is the claim of a gang that has its room: it asks for nothing.
func (g *group) standing() Claim {
	return Claim{Priority: g.priority(), Duration: g.duration(), Revocable: g.spec.Revocable, Queue: g.spec.Queue}
}

// admits reports whether somebody else may use the room meanwhile: who comes first
// anyway, who is gone before the gang starts, and, while room is drained, who can
// be ended when the gang starts. Who would borrow what the gang's queue is guaranteed does
// not come first: the gang would take it back.
func (g *group) admits(c *Core, now time.Time, claim Claim) bool {
	first := claim.Priority > g.priority() && !c.takesBack(g, claim)
	return first || backfill.Passes(now, claim.Duration, g.reservation.Start) ||
		g.reservation.Kind == Draining && c.yields(g, claim)
}

// claimant is who wants room: a gang, or a pod without one, which has none.
type claimant struct {
	gang *group
	Claim
}

// promised returns what is held for planned members, what is kept for those of the gang that
// roams, and what is reserved for other gangs, by node, as far as the claimant has to leave
// it. The result is read only.
func (c *Core) promised(now time.Time, g *group) ledger {
	sum, own, who := c.held, false, claimant{g, c.claim(g)}
	add := func(node string, amounts cluster.Resources) {
		if !own {
			sum, own = c.held.clone(), true
		}
		sum.add(node, amounts)
	}
	if g != c.roaming {
		for node, amounts := range c.ahead {
			add(node, amounts)
		}
	}
	for _, holder := range c.holders {
		for _, room := range holder.reservation.Room {
			if c.leaves(now, who, holder, room.Node) {
				add(room.Node, room.Amounts)
			}
		}
	}
	return sum
}

// PromisedOn returns what a pod that no plan pins has to leave free on a node: what is held
// or kept for members, and what is reserved for gangs, as far as that keeps its claim out;
// of a member, its gang's. The result is read only and nil where nothing is promised.
func (c *Core) PromisedOn(now time.Time, node, uid string, claim Claim) cluster.Resources {
	sum, own, who := c.held[node], false, claimant{Claim: claim}
	if m := c.members[uid]; m != nil && c.Promises() {
		who = claimant{m.group, c.claim(m.group)}
	}
	add := func(amounts cluster.Resources) {
		if !own {
			sum, own = sum.Clone(), true
		}
		sum = sum.Add(amounts)
	}
	if amounts := c.ahead[node]; amounts != nil && who.gang != c.roaming {
		add(amounts)
	}
	for _, holder := range c.holders {
		if amounts := holder.reservation.on(node); amounts != nil && c.leaves(now, who, holder, node) {
			add(amounts)
		}
	}
	return sum
}

// leaves reports whether a claimant has to leave what is reserved for a gang on a node.
// It has to even where the gang admits it, if another gang's reservation was planned
// around that room: filling it would take the other's, which may not have this one's.
func (c *Core) leaves(now time.Time, who claimant, holder *group, node string) bool {
	keptOut := func(g *group) bool {
		planned := who.gang.comesBefore(g, node) && !who.gang.admits(c, now, c.claim(g)) // around the claimant's own room
		return g != who.gang && !g.admits(c, now, who.Claim) && !planned
	}
	if holder == who.gang || !holder.admits(c, now, who.Claim) {
		return keptOut(holder)
	}
	return slices.ContainsFunc(c.holders, func(other *group) bool {
		return other != holder && other.reservation.on(node) != nil && keptOut(other) &&
			!holder.admits(c, now, c.claim(other)) && !other.comesBefore(holder, node)
	})
}

// comesBefore reports whether a node is reserved for a gang, and was before it was
// for the other.
func (g *group) comesBefore(other *group, node string) bool {
	return g != nil && g.reservation != nil && g.reservation.Order < other.reservation.Order && g.reservation.on(node) != nil
}

// reserve promises room to a gang, in place of what it had before.
func (c *Core) reserve(g *group, r reservation) {
	if r.Order == 0 {
		c.reservations++
		r.Order = c.reservations
	}
	c.reservations = max(c.reservations, r.Order)
	c.unreserve(g)
	g.reservation = &r
	place, _ := slices.BinarySearchFunc(c.holders, g, byKey)
	c.holders = slices.Insert(c.holders, place, g)
	c.touched[g.key] = g
}

// unreserve gives the room back, for others to use.
func (c *Core) unreserve(g *group) {
	if g.reservation == nil {
		return
	}
	g.reservation = nil
	place, _ := slices.BinarySearchFunc(c.holders, g, byKey)
	c.holders = slices.Delete(c.holders, place, place+1)
	c.epoch++
	c.touched[g.key] = g
}

// reviewReserved has the gangs tried for which room is reserved on a node that has less of it
// than before, or is gone: they have to look elsewhere.
func (c *Core) reviewReserved(node string) {
	for _, g := range c.holders {
		if g.reservation.on(node) != nil {
			g.changed()
			c.activateLeader(g)
		}
	}
}

// adopt takes over the reservations that the API remembers from an earlier life.
func (c *Core) adopt(now time.Time) {
	for _, g := range c.order {
		if r := g.remembered; r != nil && g.reservation == nil && c.keeps(now, g, r) {
			c.reserve(g, reservation{Reservation: *r})
		}
		g.remembered = nil
	}
}

// drains reports whether room is being drained for the gang.
func (g *group) drains() bool { return g.reservation != nil && g.reservation.Kind == Draining }

// wantsRoom reports whether the gang waits for room for its floor. It does until nodes are
// reserved for so many members: those that it is planned on may still be refused.
func (g *group) wantsRoom() bool { return g.gate().Code == "" && g.lacksRoom() }

// lacksRoom reports the same of a gang that may not be tried now.
func (g *group) lacksRoom() bool {
	counts := g.counts()
	return counts.Waiting+counts.Held > 0 && g.lacks()
}

// keeps reports whether a gang goes on having what is reserved for it. Where others were
// evicted for it, or members of it run, it does for a while although it may not be tried: a
// member is replaced, or its floor is set higher than there are members and back again.
func (c *Core) keeps(now time.Time, g *group, r *Reservation) bool {
	return g.wantsRoom() || g.outlasts(r) && now.Sub(r.Since) < c.opts.HealTimeout
}

// outlasts reports whether a reservation may outlast that its gang may not be tried.
func (g *group) outlasts(r *Reservation) bool {
	switch r.Kind {
	case Preempting:
		return g.known && g.lacksRoom()
	case Replacing:
		return g.known && g.replaces()
	case Draining:
	}
	return false
}

func byKey(a, b *group) int {
	switch {
	case a.key.Less(b.key):
		return -1
	case b.key.Less(a.key):
		return 1
	}
	return 0
}
