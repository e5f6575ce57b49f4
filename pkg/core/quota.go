package core

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/quota"
)

// shares is what the core knows of queues and of what each of them holds.
type shares struct {
	QueuesSeen
	late quota.History
	// As of the last look at the cluster.
	holders []quota.Holder
	usage   *quota.Usage
	turns   map[string]int
	total   cluster.Resources
	lone    []quota.Holder // pods without a gang
}

// queuesSeen takes in the queues. What they held of late stays.
func (c *Core) queuesSeen(e QueuesSeen) {
	c.shares.QueuesSeen = e
	c.shares.usage, c.shares.turns = nil, nil
	for _, g := range c.order {
		g.changed()
		c.activateLeader(g)
	}
}

// Late is what queues have borrowed of late, as of the last look; for the next core.
func (c *Core) Late() quota.History { return c.shares.late }

// weigh sums up anew what each queue holds, and whose turn it is.
func (c *Core) weigh(now time.Time, view *View) {
	s := &c.shares
	if s.Tree == nil || view == nil && s.total == nil {
		return // shares are of a cluster that nobody has seen yet
	}
	if view != nil {
		s.see(view)
	}
	s.holders = slices.Clip(s.lone)
	for _, g := range c.order {
		if holder := c.holder(g); len(holder.Amounts) > 0 {
			s.holders = append(s.holders, holder)
		}
	}
	s.usage = s.Tree.Usage(s.holders, s.total)
	s.late = s.late.Advance(now, s.usage.Shares(), quota.DefaultHalfLife)
	s.turns = s.usage.Turns(s.late)
}

// see takes in the cluster and the pods without a gang.
func (s *shares) see(view *View) {
	s.total, s.lone = nil, nil
	for i := range view.Nodes {
		s.total = s.total.Add(s.Charge(view.Nodes[i].Allocatable, "", view.Nodes[i].Name))
	}
	if view.Others == nil {
		return
	}
	for _, o := range view.Others() {
		s.lone = append(s.lone, quota.Holder{
			ID: o.UID, Queue: o.Queue, Amounts: s.Charge(o.Requests, "", view.Nodes[o.Node].Name), Priority: o.Priority, Since: o.Since,
		})
	}
}

// holder is what a gang holds: what its members have, or have been promised.
func (c *Core) holder(g *group) quota.Holder {
	h := quota.Holder{ID: g.key.String(), Queue: g.spec.Queue, Priority: g.priority()}
	for _, m := range g.members {
		if m.state == gang.Waiting {
			continue
		}
		h.Amounts = h.Amounts.Add(c.shares.Charge(m.Requests, m.Class, m.node))
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

// within lists the most of the waiting members, in rank order, that the gang's queue
// may hold beside what it has, and why no more; the zero Reason where it may hold all.
func (c *Core) within(g *group, waiting []*member) ([]*member, Reason) {
	s := &c.shares
	if s.usage == nil {
		return waiting, Reason{}
	}
	var why quota.Refusal
	n := sort.Search(len(waiting), func(n int) bool {
		refusal, ok := s.usage.Admit(g.spec.Queue, c.asks(waiting[:n+1]))
		if !ok {
			why = refusal // the search goes down from here on, so the last one is the first in the way
		}
		return !ok
	})
	if n == len(waiting) {
		return waiting, Reason{}
	}
	name := c.opts.Vocabulary.Name(why.Resource)
	return waiting[:n], Reason{QuotaExceeded, fmt.Sprintf("queue %s may hold %s %s at most: it holds %s, and %s ask for %s",
		why.Queue, amount(why.Resource, why.Cap), name, amount(why.Resource, why.Used), count(n+1, "member"), amount(why.Resource, why.Asked))}
}

// turn is the gang's place among those of its priority, by what its queue holds.
func (c *Core) turn(g *group) int {
	s := &c.shares
	if s.usage == nil {
		return 0
	}
	return s.usage.Turn(g.spec.Queue, c.asks(g.lacking()), s.turns)
}

// lacking are the members that wait and that the floor lacks.
func (g *group) lacking() []*member {
	waiting := g.ranked(gang.Waiting)
	return waiting[:min(len(waiting), max(0, g.floor()-g.counts().Placed()))]
}

// reclaimable are the IDs of the holders that hold what the gang's queue is guaranteed.
func (c *Core) reclaimable(g *group) map[string]bool {
	s := &c.shares
	if s.usage == nil {
		return nil
	}
	ids := map[string]bool{}
	for _, i := range s.usage.Reclaimable(g.spec.Queue, c.asks(g.lacking()), s.holders) {
		ids[s.holders[i].ID] = true
	}
	return ids
}
