package core

import "lockstep.dev/lockstep/pkg/gang"

func (c *Core) groupSeen(e GroupSeen) {
	g := c.group(e.Spec.Key)
	had := g.known && g.gate().Code == ""
	if g.known && g.spec == e.Spec {
		return
	}
	g.spec, g.known = e.Spec, true
	c.epoch++ // another floor or level may fit
	if !had && g.gate().Code == "" {
		c.activateAll(g)
	}
	c.releaseReady(g)
}

func (c *Core) groupGone(e GroupGone) {
	g := c.groups[e.Key]
	if g == nil {
		return
	}
	c.touched[e.Key] = g
	g.known = false
	c.giveBack(g, g.gate())
}

func (c *Core) memberSeen(e MemberSeen) {
	g := c.group(e.Key)
	m := c.members[e.Member.UID]
	if m != nil && m.key != e.Key { // its label was changed
		c.memberGone(m.UID)
		m = nil
	}
	complete := len(g.members) > 0 && g.gate().Code == ""
	if m == nil {
		m = &member{key: e.Key, state: gang.Waiting}
		c.members[e.Member.UID] = m
		g.members[e.Member.UID] = m
	}
	m.Member, m.barred = e.Member, e.Barred
	delete(g.finished, e.Member.UID)
	switch {
	case e.Node != "":
		c.bound(g, m, e.Node)
	case e.Barred != "" && m.state != gang.Waiting:
		c.giveBack(g, Reason{Barred, m.Name + ": " + m.barred})
	}
	if !complete && g.gate().Code == "" {
		c.activateAll(g)
	}
	c.releaseReady(g)
}

// bound takes in what the API says. It wins over whatever was planned.
func (c *Core) bound(g *group, m *member, node string) {
	if m.state == gang.Bound && m.node == node {
		return
	}
	foreign := m.state == gang.Held && m.node != node || m.state == gang.Waiting
	c.drop(m)
	m.state, m.node = gang.Bound, node
	if g.phase() == gang.Placed {
		g.excluded, g.misses, g.refusal = nil, 0, nil
	} else if foreign {
		c.activateLeader(g) // the others are planned around it
	}
}

func (c *Core) memberGone(uid string) {
	m := c.members[uid]
	if m == nil {
		return
	}
	g := c.group(m.key)
	c.drop(m)
	delete(c.members, uid)
	delete(g.members, uid)
}

func (c *Core) memberFinished(e MemberFinished) {
	c.memberGone(e.UID)
	g := c.group(e.Key)
	g.finished[e.UID] = true
	c.releaseReady(g)
}

func (c *Core) finishedForgotten(e FinishedForgotten) {
	if g := c.groups[e.Key]; g != nil {
		c.touched[e.Key] = g
		delete(g.finished, e.UID)
	}
}

// drop takes a member off its node, in the ledger as well.
func (c *Core) drop(m *member) {
	if m.state == gang.Held {
		c.held.sub(m.node, m.Requests)
		c.epoch++
	}
	m.state, m.node = gang.Waiting, ""
}

// hold promises a node to a member.
func (c *Core) hold(m *member, node string) {
	m.state, m.node = gang.Held, node
	c.held.add(node, m.Requests)
}

func (c *Core) activateAll(g *group) {
	if waiting := g.ranked(gang.Waiting); len(waiting) > 0 {
		c.emit(Activate{UIDs: uids(waiting)})
	}
}

func (c *Core) activateLeader(g *group) {
	if leader := g.leader(); leader != nil && g.gate().Code == "" {
		c.emit(Activate{UIDs: []string{leader.UID}})
	}
}
