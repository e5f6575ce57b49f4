package core

import (
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/gang"
)

// reserved: the shell's view of the node counts the member from now on. One that
// may be bound already stays on its way to be bound.
func (c *Core) reserved(e Reserved) {
	m := c.members[e.UID]
	if m != nil && m.roams && m.state == gang.Waiting {
		c.settledOn(m, e.Node)
		return
	}
	if m == nil || !m.held {
		return
	}
	c.held.sub(m.node, m.Requests)
	m.held = false
	if m.state == gang.Held {
		m.move(gang.Reserved, m.node)
	}
	c.group(m.group.key)
}

func (c *Core) permit(uid string) {
	m := c.members[uid]
	if m == nil || m.state != gang.Reserved {
		return
	}
	g := c.group(m.group.key)
	if g.tally != nil && !m.permitted {
		g.tally.permitted++
	}
	m.permitted = true
	c.releaseReady(g)
}

// releaseReady releases what is reserved once it makes up the floor together
// with what is bound or on its way.
func (c *Core) releaseReady(g *group) {
	if !g.ready() {
		return
	}
	ready := g.where(func(m *member) bool { return m.state == gang.Reserved && m.permitted })
	for _, m := range ready {
		m.move(gang.Binding, m.node)
	}
	c.emit(Release{UIDs: uids(ready)})
}

// giveBack takes every member that is held or reserved off its node. What is on
// its way to be bound cannot be taken back.
func (c *Core) giveBack(g *group, reason Reason) {
	g.replanning = false
	c.stopRoaming(g)
	held, reserved := g.ranked(gang.Held), g.ranked(gang.Reserved)
	for _, m := range slices.Concat(held, reserved) {
		c.drop(m)
	}
	if len(reserved) == 0 {
		return
	}
	c.emit(GiveBack{UIDs: uids(reserved), Reason: reason})
}

// unreserved: the scheduler let go of a member. Before the release that ends the
// attempt of the whole gang; after it the gang heals.
func (c *Core) unreserved(now time.Time, e Unreserved) {
	m := c.members[e.UID]
	if m == nil || m.held || m.state != gang.Reserved && m.state != gang.Binding {
		return
	}
	g := c.group(m.group.key)
	if e.Unknown {
		m.doubted = now
	}
	switch {
	case m.state == gang.Reserved:
		c.drop(m)
		g.why = Reason{MemberLost, m.Name + " lost its place: " + e.Why}
		c.giveBack(g, g.why)
		c.activateLeader(g)
	case c.doubtful(m, now): // nobody else gets the room, and it is tried there again
		m.held = true
		c.held.add(m.node, m.Requests)
		if g.healingSince.IsZero() { // the API may never say
			g.healingSince = now
		}
	default:
		c.drop(m)
		g.why = Reason{BindFailed, m.Name + " could not be bound: " + e.Why}
	}
}

// doubtful reports whether a member may be bound and not be seen to be yet. For a
// while after a bind of unknown outcome only the API's word ends that: a later
// attempt may fail for reasons that say nothing about the earlier one.
func (c *Core) doubtful(m *member, now time.Time) bool {
	return !m.doubted.IsZero() && now.Sub(m.doubted) < c.opts.WakeAfter
}

// disowned says since when a member that may be on its way to be bound would not be sent to its
// node again; the zero Reason where it would.
func (c *Core) disowned(m *member) (since Reason) {
	switch {
	case m.held && m.outdated:
		return Reason{GroupChanged, "its gang asked for this topology"}
	case m.held && m.state == gang.Binding && c.overcharged(m):
		return Reason{QuotaExceeded, "its queue held more than its cap"}
	}
	return Reason{}
}

// nodeGone gives back every gang that was about to use the node.
func (c *Core) nodeGone(name string) {
	for _, g := range c.order {
		there := g.where(func(m *member) bool {
			return m.node == name && (m.held || m.state == gang.Reserved)
		})
		if len(there) == 0 {
			continue
		}
		c.touched[g.key] = g
		for _, m := range there {
			if m.state == gang.Binding {
				c.drop(m)
			} else {
				c.giveBack(g, Reason{NodeLost, "node " + name + " was deleted before the gang was complete"})
			}
		}
		c.activateLeader(g)
	}
}
