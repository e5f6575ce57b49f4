package core

import (
	"fmt"
	"time"

	"lockstep.dev/lockstep/pkg/backfill"
)

// drain keeps room from others until enough has ended there for the gang, once it has
// waited for long. One gang at a time: two that drain would each wait for the other's
// room.
func (f *contest) drain() (said string, reserved bool) {
	g, c := f.gang, f.core
	from := c.roomFrom(g)
	if from.IsZero() {
		return "", false
	}
	tooMuch := fmt.Sprintf("reservations have left more than %d %% of the cluster idle of late", mostIdlePercent)
	if r := g.reservation; r != nil && r.Kind == Draining && c.idle.spent {
		c.unreserve(g)
		g.agedFrom = f.now
		return fmt.Sprintf("the room that was reserved for it since %s is given back, because %s", moment(r.Since), tooMuch), false
	}
	if r := g.reservation; r != nil && r.Kind == Draining && f.tenable(r.Room) && equal(f.asked(), amounts(r.Room)) {
		if f.now.After(r.Start) { // what runs there takes longer than was expected
			next := *r
			next.Start = f.now.Add(f.now.Sub(r.Since))
			c.reserve(g, next)
		}
		return f.draining(g.reservation), true
	}
	if from.After(f.now) {
		return "room will be reserved for it if it still waits at " + moment(from), false
	}
	if g.reservation == nil && c.idle.spent {
		return "no room is reserved for it yet, because " + tooMuch, false
	}
	holder := c.drainer()
	if holder == g {
		holder = nil // what it holds has become untenable, or is not what it asks for any more
	}
	if holder != nil {
		if !c.before(f.now, g, holder) {
			return fmt.Sprintf("room will be reserved for it when %s, which comes first, has started", holder.key), false
		}
		if !holder.admits(c, f.now, c.claim(g)) { // its room has been kept out of the index
			takeBack := holder.reservation.byNode().putOn(f.view)
			defer takeBack()
		}
	}
	plan, start, rejection := backfill.Shadow(f.view.Index, f.request, f.tenancies())
	if rejection != nil {
		return "", false
	}
	if holder != nil {
		c.unreserve(holder)
	}
	if start.IsZero() {
		start = f.now // as soon as those have left that are leaving
	}
	c.reserve(g, reservation{Reservation: Reservation{Kind: Draining, Since: f.now, Start: start, Room: f.room(plan)}})
	return f.draining(g.reservation), true
}

func (f *contest) draining(r *reservation) string {
	return fmt.Sprintf("room is reserved for it on %s since %s, and expected to be free at %s",
		count(len(r.Room), "node"), moment(r.Since), moment(r.Start))
}

// tenable reports whether nodes are still there that can give what was promised.
func (f *contest) tenable(room []Room) bool {
	for _, part := range room {
		i, ok := f.view.find(part.Node)
		if !ok || !part.Amounts.Fits(f.view.Nodes[i].Allocatable) || !f.eligible(i) {
			return false
		}
	}
	return true
}

// eligible reports whether some of the gang may run on a node.
func (f *contest) eligible(node int) bool {
	for _, class := range f.request.Classes {
		if class.Eligible == nil || class.Eligible(node) {
			return true
		}
	}
	return false
}

// tenancies says who is expected to end when.
func (f *contest) tenancies() []backfill.Tenancy {
	var list []backfill.Tenancy
	for _, t := range f.tenants {
		until := backfill.Until(f.now, t.since, t.Duration)
		for _, o := range t.pods {
			list = append(list, backfill.Tenancy{Node: o.Node, Amounts: o.Requests, Until: until})
		}
	}
	return list
}

// roomFrom is from when on room may be reserved for a gang that waits; zero for never.
func (c *Core) roomFrom(g *group) time.Time {
	if c.opts.ReserveAfter <= 0 {
		return time.Time{}
	}
	return g.waitsFrom().Add(c.opts.ReserveAfter)
}

// waitsFrom is since when the gang ages.
func (g *group) waitsFrom() time.Time {
	if g.agedFrom.After(g.spec.Created) {
		return g.agedFrom
	}
	return g.spec.Created
}

// settled is after how long a reservation does not change hands any more because of what
// queues hold, which is never the same for long: the drain would never end.
const settled = 30 * time.Minute

// before reports whether a gang gets the one reservation from the other that has it: by
// priority, then by whose queue's turn it is, then by age. Whoever comes later is
// younger, so within a queue it changes hands only so often.
func (c *Core) before(now time.Time, g, other *group) bool {
	if a, b := g.priority(), other.priority(); a != b {
		return a > b
	}
	if a, b := c.turn(g), c.turn(other); a != b {
		return a < b && now.Sub(other.reservation.Since) < settled
	}
	if a, b := g.spec.Created, other.spec.Created; !a.Equal(b) {
		return a.Before(b)
	}
	return g.key.Less(other.key)
}

// drainer is the gang for which room is being drained; nil if there is none.
func (c *Core) drainer() *group {
	for _, g := range c.holders {
		if g.reservation.Kind == Draining {
			return g
		}
	}
	return nil
}

// moment writes a point in time. A time span would change with every look.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }
