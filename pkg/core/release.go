package core

import "lockstep.dev/lockstep/pkg/gang"

// reserved: the shell's view of the node counts the member from now on.
func (c *Core) reserved(uid string) {
	m := c.members[uid]
	if m == nil || m.state != gang.Held {
		return
	}
	c.held.sub(m.node, m.Requests)
	m.state = gang.Reserved
	c.group(m.key)
}

func (c *Core) permit(uid string) {
	if m := c.members[uid]; m != nil {
		c.releaseReady(c.group(m.key))
	}
}

// releaseReady releases what is reserved once it makes up the floor together
// with what is bound or on its way.
func (c *Core) releaseReady(g *group) {
	if !g.known || !g.counts().Ready(g.floor()) {
		return
	}
	reserved := g.ranked(gang.Reserved)
	if len(reserved) == 0 {
		return
	}
	for _, m := range reserved {
		m.state = gang.Binding
	}
	c.emit(Release{UIDs: uids(reserved)})
}

// giveBack takes every member that is held or reserved off its node, unless the
// floor is safe without it.
func (c *Core) giveBack(g *group, reason Reason) {
	for _, m := range g.ranked(gang.Held) {
		c.drop(m)
	}
	reserved := g.ranked(gang.Reserved)
	if len(reserved) == 0 {
		return
	}
	for _, m := range reserved {
		c.drop(m)
	}
	c.epoch++
	c.emit(GiveBack{UIDs: uids(reserved), Reason: reason})
}

// unreserved: the scheduler let go of a member. Before the release that ends the
// attempt of the whole gang; after it the gang heals.
func (c *Core) unreserved(e Unreserved) {
	m := c.members[e.UID]
	if m == nil || m.state != gang.Reserved && m.state != gang.Binding {
		return
	}
	g := c.group(m.key)
	node, released := m.node, m.state == gang.Binding
	c.drop(m)
	c.epoch++
	switch {
	case released && e.Unknown:
		c.hold(m, node) // it may be bound there: nobody else gets the room, and it is tried there again
	case !released:
		c.giveBack(g, Reason{MemberLost, m.Name + " lost its place: " + e.Why})
		c.activateLeader(g)
	case e.Why != "":
		g.lastMiss = m.Name + " could not be bound: " + e.Why
		g.refusal = &refusal{reason: Reason{BindFailed, g.lastMiss}} // says why; never a reason not to try again
	}
}

// nodeGone gives back every gang that was about to use the node.
func (c *Core) nodeGone(name string) {
	for _, g := range c.sorted(c.groups) {
		for _, m := range g.ranked(gang.Held, gang.Reserved) {
			if m.node == name {
				c.touched[g.key] = g
				c.giveBack(g, Reason{NodeLost, "node " + name + " was deleted before the gang was complete"})
				c.activateLeader(g)
				break
			}
		}
	}
}
