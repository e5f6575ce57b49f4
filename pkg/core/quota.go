package core

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
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

// Usage is what queues hold, as of the last look; nil where there are none, or nobody has
// looked. It is read only.
func (c *Core) Usage() *quota.Usage { return c.shares.usage }

// weigh sums up anew what each queue holds, and whose turn it is.
func (c *Core) weigh(now time.Time, view *View) {
	s := &c.shares
	if s.Tree == nil || view == nil && s.total == nil {
		return // shares are of a cluster that nobody has seen yet
	}
	if view != nil {
		s.see(view)
	}
	s.holders = c.holding(s.holders[:0])
	s.usage = s.Tree.Usage(s.holders, s.total)
	s.late = s.late.Advance(now, s.usage.Shares(), quota.DefaultHalfLife)
	s.turns = s.usage.Turns(s.late)
}

// holding adds all who hold something to a list.
func (c *Core) holding(list []quota.Holder) []quota.Holder {
	list = append(list, c.shares.lone...)
	for _, g := range c.order {
		if holds := &c.account(g).holds; len(holds.Amounts) > 0 {
			list = append(list, *holds)
		}
	}
	return list
}

// overcharged reports whether a member's queue, or one above, holds more than its cap of
// something that the member has.
func (c *Core) overcharged(m *member) bool {
	s := &c.shares
	return s.Tree != nil && s.Tree.Usage(c.holding(nil), s.total).Exceeds(m.group.spec.Queue, s.Charge(m.Requests, m.Class, m.node))
}

// see takes in the cluster and the pods without a gang, where the view knows them.
func (s *shares) see(view *View) {
	s.total = nil
	for i := range view.Nodes {
		s.total = s.total.Add(s.Charge(view.Nodes[i].Allocatable, "", view.Nodes[i].Name))
	}
	if view.Others == nil {
		return
	}
	s.lone = nil
	for _, o := range view.Others() {
		s.lone = append(s.lone, quota.Holder{
			ID: o.UID, Queue: o.Queue, Amounts: s.Charge(o.Requests, "", view.Nodes[o.Node].Name), Priority: o.Priority, Revocable: o.Revocable, Since: o.Since,
		})
	}
}

// within lists the most of the waiting members, in rank order, that the gang's queue
// may hold beside what it has, and why no more; the zero Reason where it may hold all.
func (c *Core) within(now time.Time, g *group, waiting []*member) ([]*member, Reason) {
	if c.shares.usage == nil {
		return waiting, Reason{}
	}
	usage := c.shares.usage
	if kept := c.kept(now, g); len(kept) > len(c.shares.holders) {
		usage = c.without(kept, nil, View{})
	}
	n := sort.Search(len(waiting), func(n int) bool {
		_, ok := usage.Admit(g.spec.Queue, c.asks(waiting[:n+1]))
		return !ok
	})
	if n == len(waiting) {
		return waiting, Reason{}
	}
	// What does not help the gang is not told: less than its floor, or fewer than are in the way.
	told := min(len(waiting), max(n+1, g.floor()-g.counts().Placed()))
	why, _ := usage.Admit(g.spec.Queue, c.asks(waiting[:told]))
	held, kept := c.shares.usage.Used(why.Queue).Get(why.Resource), ""
	if why.Used > held {
		kept = fmt.Sprintf(" %s are kept for other gangs,", amount(why.Resource, why.Used-held))
	}
	return waiting[:n], Reason{QuotaExceeded, fmt.Sprintf("queue %s may hold %s %s at most: it holds %s,%s and %s would take %s more",
		why.Queue, amount(why.Resource, why.Cap), c.opts.Vocabulary.Name(why.Resource), amount(why.Resource, held), kept, count(told, "member"), amount(why.Resource, why.Asked))}
}

// full lists the kinds of node on which members would take the gang's queue beyond a cap,
// were all of them to go there, where queues hold so much, and the first such cap. Members that ask for a kind
// themselves are counted before; this is for those that would go to any.
func (c *Core) full(usage *quota.Usage, g *group, members []*member, view View) (full leftOut) {
	s := &c.shares
	if usage == nil || s.Kind == nil {
		return full
	}
	seen := map[string]bool{}
	for i := range view.Nodes {
		node := view.Nodes[i].Name
		kind := s.Kind(node)
		if seen[kind] || kind == "" {
			continue
		}
		seen[kind] = true
		var asked cluster.Resources
		for _, m := range members {
			asked = asked.Add(s.Charge(m.Requests, m.Class, node))
		}
		why, ok := usage.Admit(g.spec.Queue, asked)
		if ok {
			continue
		}
		if full.kinds == nil {
			full.kinds = map[string]bool{}
		}
		if full.kinds[kind] = true; full.said == "" {
			full.said = fmt.Sprintf("nodes of type %s are left out, because queue %s may hold %s %s at most: it holds %s",
				kind, why.Queue, amount(why.Resource, why.Cap), c.opts.Vocabulary.Name(why.Resource), amount(why.Resource, why.Used))
		}
	}
	return full
}

// most is the most that members may count as in the terms of the queues: of those that ask
// for no type of GPU nobody knows yet on nodes of which type they will be.
func (c *Core) most(members []*member, view View) cluster.Resources {
	s, sum := &c.shares, cluster.Resources(nil)
	kinds := map[string]string{} // a node of each
	for i := range view.Nodes {
		if s.Kind == nil {
			break
		}
		if kind := s.Kind(view.Nodes[i].Name); kind != "" {
			kinds[kind] = view.Nodes[i].Name
		}
	}
	for _, m := range members {
		most := s.Charge(m.Requests, m.Class, "")
		if slices.Equal(most, s.Charge(m.Requests, "", "")) {
			for _, node := range kinds {
				for r, amount := range s.Charge(m.Requests, "", node) {
					most = most.Set(r, max(most.Get(r), amount))
				}
			}
		}
		sum = sum.Add(most)
	}
	return sum
}

// leftOut are kinds of node, and why.
type leftOut struct {
	kinds map[string]bool
	said  string
}

// takesBack reports whether a gang could take back what a claimant asks for: the claimant
// would borrow, and the gang asks for no more than its queue is guaranteed.
func (c *Core) takesBack(g *group, claim Claim) bool {
	u := c.shares.usage
	return u != nil && u.TakesBack(g.spec.Queue, c.account(g).wants, claim.Queue) && u.Borrows(claim.Queue, claim.Asked, g.spec.Queue)
}

// turn is the gang's place among those of its priority, by what its queue holds.
func (c *Core) turn(g *group) int {
	s := &c.shares
	if s.usage == nil {
		return 0
	}
	return s.usage.Turn(g.spec.Queue, c.account(g).lacks, s.turns)
}
