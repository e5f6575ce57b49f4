package core

import (
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/gang"
)

func (c *Core) groupSeen(e GroupSeen) {
	g := c.group(e.Spec.Key)
	if !c.acting {
		g.remembered = e.Reservation
	}
	if g.known && g.spec == e.Spec {
		return
	}
	open := g.gate().Code == ""
	if g.spec.UID != e.Spec.UID {
		g.reported = Status{} // another object, which has been told nothing yet
	}
	if g.spec.Required.Name != e.Spec.Required.Name || g.spec.Slices != e.Spec.Slices {
		c.giveBack(g, Reason{GroupChanged, "the pod group asks for another topology now"})
		for _, m := range g.ranked(gang.Binding) {
			m.outdated = bindsTogether(e.Spec)
		}
	}
	g.spec, g.known, g.why, g.trial = e.Spec, true, Reason{}, trial{}
	g.changed()
	if open {
		c.activateLeader(g)
	} else {
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
	g.spec, g.known, g.reported, g.tally, g.account, g.tenancy = gang.Spec{}, false, Status{}, nil, nil, nil // its pods alone say nothing about it
}

func (c *Core) memberSeen(e MemberSeen) {
	uid := e.Member.UID
	m, g := c.members[uid], c.group(e.Key)
	if g.finished[uid] {
		return // old news: a pod that has succeeded does not come back
	}
	open := g.gate().Code == ""
	if m != nil && m.group != g {
		c.rehome(m, g)
	}
	if m == nil {
		m = &member{Member: e.Member, group: g, barred: e.Barred}
		c.members[uid] = m
		g.insert(m)
		g.trial = trial{}
	} else {
		c.updated(m, e)
	}
	m.evicted = e.Evicted
	switch {
	case e.Node != "":
		c.bound(m, e.Node)
	case m.barred != "" && (m.state == gang.Held || m.state == gang.Reserved):
		c.giveBack(g, Reason{Barred, m.Name + ": " + m.barred})
		c.activateLeader(g)
	}
	if !open {
		c.activateAll(g)
	}
	c.releaseReady(g)
}

// bindsTogether reports whether members have to be near each other.
func bindsTogether(spec gang.Spec) bool { return spec.Required.Name != "" || spec.Slices.Size > 1 }

// stopped takes in that a member is refused whatever the node. It counts no more, so a gang
// whose floor needs it gives back what it has; the others go on.
func (c *Core) stopped(e Stopped) {
	m := c.members[e.UID]
	if m == nil || m.state != gang.Waiting && m.state != gang.Held {
		return
	}
	if m.state == gang.Held {
		c.drop(m)
	}
	m.stopped = e.Why
	g := c.group(m.group.key)
	g.changed()
	if reason := g.gate(); reason.Code == MemberStopped {
		c.giveBack(g, reason)
	}
}

// goesOn takes in that a member that was stopped is no longer.
func (c *Core) goesOn(m *member) {
	g := c.group(m.group.key)
	m.stopped = ""
	g.changed()
	if g.gate().Code == "" {
		c.activateAll(g)
	}
}

// rehome takes in that a pod's label was changed. It takes nothing along to its new
// gang but a bind that cannot be undone.
func (c *Core) rehome(m *member, to *group) {
	from := c.group(m.group.key)
	switch m.state {
	case gang.Reserved:
		c.emit(GiveBack{UIDs: []string{m.UID}, Reason: Reason{MemberLost, m.Name + " is a member of another gang now"}})
		fallthrough
	case gang.Held:
		c.drop(m)
	case gang.Binding:
		m.outdated = bindsTogether(to.spec)
	case gang.Waiting, gang.Bound:
	}
	from.remove(m)
	m.group = to
	to.insert(m)
}

// updated takes in how a known member is now.
func (c *Core) updated(m *member, e MemberSeen) {
	before, barred := m.Member, m.barred
	if sameMember(before, e.Member) && barred == e.Barred {
		return
	}
	g := m.group
	if m.held {
		c.held.sub(m.node, m.Requests)
		c.held.add(m.node, e.Member.Requests)
	}
	g.remove(m)
	m.Member, m.barred = e.Member, e.Barred
	g.insert(m)
	if before.Class == m.Class && equal(before.Requests, m.Requests) {
		return
	}
	switch m.state {
	case gang.Held:
		c.drop(m) // it was planned as another
		c.activateLeader(g)
	case gang.Waiting: // resized, or it tolerates more: it was refused as another
		g.trial = trial{}
		c.activateLeader(g)
	case gang.Reserved, gang.Binding, gang.Bound:
	}
}

func sameMember(a, b gang.Member) bool {
	return a.UID == b.UID && a.Name == b.Name && a.Role == b.Role && a.Index == b.Index &&
		a.Class == b.Class && a.Priority == b.Priority && a.Patient == b.Patient && a.Duration == b.Duration &&
		a.Started.Equal(b.Started) && slices.Equal(a.Requests, b.Requests)
}

// bound takes in what the API says. It wins over whatever was planned: if that was
// something else, the others are planned anew around it.
func (c *Core) bound(m *member, node string) {
	if m.state == gang.Bound && m.node == node {
		return
	}
	g, planned := m.group, m.node == node
	c.unhold(m)
	m.move(gang.Bound, node)
	if g.phase() == gang.Placed {
		g.forgive()
		c.stopRoaming(g)
		g.why, g.trial, g.vain = Reason{}, trial{}, vain{}
		if g.counts().Waiting == 0 { // a surplus that waits is to be woken when room is given back
			g.refusal = nil
		}
	}
	if !planned {
		g.changed()
		c.giveBack(g, Reason{BoundElsewhere, m.Name + " was bound to " + node + " by somebody else"})
		c.activateLeader(g)
	}
}

func (c *Core) memberGone(now time.Time, uid string) {
	m := c.members[uid]
	if m == nil {
		return
	}
	g := c.group(m.group.key)
	wanted, ran, room := g.wantsRoom(), m.state == gang.Bound && m.evicted.Code == "", Room{m.node, m.Requests}
	c.forget(m)
	if ran {
		c.keepForReplacement(now, g, room)
	}
	if !wanted && g.wantsRoom() {
		g.trial = trial{} // those that were surplus are needed now
		c.activateLeader(g)
	}
}

// forget takes a pod out of its gang.
func (c *Core) forget(m *member) {
	g := c.group(m.group.key)
	c.drop(m)
	delete(c.members, m.UID)
	g.remove(m)
}

func (c *Core) memberFinished(e MemberFinished) {
	if m := c.members[e.UID]; m != nil {
		c.forget(m)
	}
	g := c.group(e.Key)
	g.finished[e.UID] = true
	g.changed()
	c.releaseReady(g)
}

func (c *Core) finishedForgotten(e FinishedForgotten) {
	if g := c.groups[e.Key]; g != nil {
		c.touched[e.Key] = g
		delete(g.finished, e.UID)
		g.changed() // the surplus may be needed for the floor now
		c.activateLeader(g)
	}
}

// hold promises a node to a member.
func (c *Core) hold(m *member, node string) {
	m.move(gang.Held, node)
	m.held = true
	c.held.add(node, m.Requests)
}

// unhold takes what is held for a member off the ledger.
func (c *Core) unhold(m *member) {
	if m.held {
		c.held.sub(m.node, m.Requests)
		m.held = false
		c.epoch++
	}
}

// drop takes a member off its node, in the ledger as well.
func (c *Core) drop(m *member) {
	c.unhold(m)
	m.move(gang.Waiting, "")
	m.group.changed()
}

func (c *Core) activateAll(g *group) {
	if g.gate().Code != "" {
		return
	}
	if waiting := g.ranked(gang.Waiting); len(waiting) > 0 {
		c.emit(Activate{UIDs: uids(waiting)})
	}
}

func (c *Core) activateLeader(g *group) {
	if leader := g.leader(); leader != nil && g.gate().Code == "" {
		c.emit(Activate{UIDs: []string{leader.UID}})
	}
}
