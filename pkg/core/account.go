package core

import (
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/quota"
)

// account is what a gang has and wants, in the terms of the queues. It is derived from its
// members, and asked for again and again while others contend for room: it is kept until
// one of them moves or changes, or a node does.
type account struct {
	holds quota.Holder
	lacks cluster.Resources // what the members ask for that the floor lacks
	wants cluster.Resources // the same, or where it lacks nothing, what all ask for that wait
	waits bool              // it waits for room for its floor
}

// look takes in which nodes there are. Where one has come, gone or changed, the gangs are
// looked at anew: they are charged by the types of their nodes, and know their places.
func (c *Core) look(view View) {
	if view.Attributes == c.attributes {
		return
	}
	c.attributes = view.Attributes
	for _, g := range c.order {
		g.account, g.tenancy = nil, nil
	}
}

// account is a gang's; there have to be queues.
func (c *Core) account(g *group) *account {
	if g.account == nil {
		g.account = c.reckon(g)
	}
	return g.account
}

func (c *Core) reckon(g *group) *account {
	lacking := c.asks(g.lacking())
	return &account{holds: c.holder(g), lacks: lacking, wants: c.asks(g.wanted()), waits: g.wantsRoom()}
}

// holder is what a gang holds: what its members have, or have been promised. Members that
// outlive their pod group are charged as pods without a gang are.
func (c *Core) holder(g *group) quota.Holder {
	h := quota.Holder{ID: g.id, Queue: g.spec.Queue, Priority: g.priority(), Revocable: g.spec.Revocable}
	if !g.known {
		h.Queue, _ = c.shares.Tree.Of(g.key.Namespace, "")
	}
	floor := g.floor() - len(g.finished)
	for i, m := range g.members {
		if i < floor {
			h.Floor = h.Floor.Add(c.shares.Charge(m.Requests, m.Class, ""))
		}
		if m.state == gang.Waiting {
			continue
		}
		h.Priority = max(h.Priority, m.Priority) // whoever joins it cannot make it less
		charged := c.shares.Charge(m.Requests, m.Class, m.node)
		if h.Amounts = h.Amounts.Add(charged); m.state != gang.Bound {
			h.Promised = h.Promised.Add(charged)
		}
		if h.Since.IsZero() || m.Started.Before(h.Since) {
			h.Since = m.Started
		}
	}
	return h
}

// asks is what members that wait ask for, in the terms of the queues.
func (c *Core) asks(members []*member) cluster.Resources {
	var sum cluster.Resources
	for _, m := range members {
		sum = sum.Add(c.shares.Charge(m.Requests, m.Class, ""))
	}
	return sum
}

// lacking are the members that wait and that the floor lacks.
func (g *group) lacking() []*member {
	waiting := g.ranked(gang.Waiting)
	return waiting[:min(len(waiting), max(0, g.floor()-g.counts().Placed()))]
}

// wanted are the members that the floor lacks, else all that wait.
func (g *group) wanted() []*member {
	if lacking := g.lacking(); len(lacking) > 0 {
		return lacking
	}
	return g.ranked(gang.Waiting)
}
