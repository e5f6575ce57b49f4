package core

import (
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/preemption"
	"lockstep.dev/lockstep/pkg/quota"
)

// lift looks for room below the cap that keeps a gang out of its queue: those go who hold it
// and of whom the gang may take it, together with whoever has to go for its place. What it
// says completes the reason why the gang waits.
func (c *Core) lift(now time.Time, g *group, p problem, waiting []*member, need int) (said string) {
	if p.view.Others == nil {
		return "" // nobody goes, and what is reserved stays so
	}
	steps, done := p.slicing.steps(waiting, need), false
	if g.wantsRoom() && g.contends() && len(steps) > 0 {
		said, done = c.liftFor(now, g, p, waiting[:steps[0]])
	}
	if !done {
		c.unreserve(g)
	}
	return said
}

func (c *Core) liftFor(now time.Time, g *group, p problem, members []*member) (said string, done bool) {
	f := &contest{core: c, now: now, gang: g, view: p.view}
	f.tenants, f.leaving = c.tenants(now, p.view)
	putBack, ok := f.below(p, members)
	if !ok {
		return "", false
	}
	defer putBack()
	return f.preempt()
}

// below makes a contest about room below the caps that keep the gang out: those who go for that
// are gone, until it is put back. It is not ok where it would be kept out without all of them.
func (f *contest) below(p problem, members []*member) (putBack func(), ok bool) {
	c := f.core
	f.entitle()
	first, ok := f.over(c.asks(members))
	if !ok {
		return nil, false
	}
	f.lifts = true
	gone := slices.Clone(f.leaving)
	for _, v := range first {
		for _, place := range v.Pods {
			gone = append(gone, v.tenant.pods[place])
		}
	}
	give := c.promised(f.now, f.gang).takeOff(f.view)
	takeBack := f.free(gone)
	p.full = c.full(c.without(c.kept(f.now, f.gang), gone, f.view), f.gang, members, f.view).kinds
	f.request, _ = p.request(members)
	f.first = first
	return func() { takeBack(); give() }, true
}

// taken is what goes of a tenant.
type taken struct {
	tenant *tenant
	preemption.Victim
}

// over lists who goes so that a cap lets in what the gang asks for, once those have left who
// are leaving: surplus before whole gangs, and of each the first in the order in which
// holders go. Nobody where they only have to leave; not ok where it would be kept out without
// all of them.
func (f *contest) over(asked cluster.Resources) (list []taken, ok bool) {
	usage := f.core.without(f.core.kept(f.now, f.gang), f.leaving, f.view)
	parts := f.parts(usage)
	pieces := make([]quota.Piece, len(parts))
	for i, p := range parts {
		pieces[i] = quota.Piece{Owner: p.place, Queue: f.core.shares.holders[p.place].Queue, Rest: p.rest()}
		for _, o := range p.pods() {
			pieces[i].Amounts = pieces[i].Amounts.Add(f.core.charge(o, f.view))
		}
	}
	goes, ok := usage.Lift(f.gang.spec.Queue, asked, pieces)
	at := map[int]int{}                       // of a holder in the list
	for _, i := range slices.Backward(goes) { // the rest comes first
		p := parts[i]
		place, known := at[p.place]
		switch {
		case known && list[place].Whole:
		case known:
			list[place].Pods = append(list[place].Pods, p.pod)
		case p.rest():
			at[p.place] = len(list)
			list = append(list, taken{p.tenant, preemption.Victim{Whole: true, Pods: places(len(p.tenant.pods))}})
		default:
			at[p.place] = len(list)
			list = append(list, taken{p.spare, preemption.Victim{Pods: []int{p.pod}}})
		}
	}
	for _, v := range list {
		slices.Sort(v.Pods)
	}
	return list, ok
}

// part is what may go at once of a tenant: a pod of what it can spare, or all the others.
type part struct {
	tenant, spare *tenant
	place         int // among the holders
	pod           int // of what it can spare; -1 for the others
}

func (p part) rest() bool { return p.pod < 0 }

func (p part) pods() []Occupant {
	switch {
	case !p.rest():
		return p.spare.pods[p.pod : p.pod+1]
	case p.tenant.lone:
		return p.tenant.pods
	}
	return slices.DeleteFunc(slices.Clone(p.tenant.pods), func(o Occupant) bool {
		return slices.ContainsFunc(p.spare.pods, func(s Occupant) bool { return s.UID == o.UID })
	})
}

// parts lists what may go of whom, in the order in which it goes: surplus first.
func (f *contest) parts(usage *quota.Usage) []part {
	tenants := map[int]*tenant{}
	for _, t := range f.tenants {
		if place, holds := f.rights.places[t.id]; holds && !t.protected && t.key != f.gang.key {
			tenants[place] = t
		}
	}
	var parts, rests []part
	for _, place := range usage.Leaving() {
		t := tenants[place]
		if t == nil {
			continue
		}
		portion, _ := f.rights.of(t.id, f.yields(t.Claim))
		spare := t.surplus()
		if portion > quota.Nothing && !t.lone {
			for pod := range slices.Backward(spare.pods) {
				parts = append(parts, part{t, spare, place, pod})
			}
		}
		if portion == quota.Whole {
			rests = append(rests, part{t, spare, place, -1})
		}
	}
	return append(parts, rests...)
}

// places are the first n.
func places(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// spend is what budgets allow once those have gone who go first.
func (f *contest) spend(b Budgets) []int {
	if len(f.first) == 0 {
		return b.Allowed
	}
	allowed := slices.Clone(b.Allowed)
	f.spent = 0
	for _, v := range f.first {
		for _, place := range v.Pods {
			for _, i := range b.Of[v.tenant.pods[place].UID] {
				if allowed[i]--; allowed[i] < 0 {
					f.spent, allowed[i] = f.spent+1, 0
				}
			}
		}
	}
	return allowed
}

// kept are who holds something, and at the end those for whom others go, or of whom members
// are replaced, with what they will hold, as far as a gang has to leave it to them.
func (c *Core) kept(now time.Time, g *group) []quota.Holder {
	holders := slices.Clip(c.shares.holders)
	for _, h := range c.holders {
		if h != g && h.reservation.Kind != Draining && h.spec.Queue != "" && !h.admits(c, now, c.claim(g)) {
			holders = append(holders, quota.Holder{ID: h.id + " next", Queue: h.spec.Queue, Amounts: c.next(h)})
		}
	}
	return holders
}

// next is what a gang will hold beside what it has, when it has what is reserved for it.
func (c *Core) next(h *group) (sum cluster.Resources) {
	if h.reservation.Kind != Replacing {
		return c.account(h).lacks
	}
	for _, room := range h.reservation.Room {
		sum = sum.Add(c.shares.Charge(room.Amounts, "", room.Node))
	}
	return sum
}

// without is what queues hold without some pods. The holders keep their places.
func (c *Core) without(holders []quota.Holder, pods []Occupant, view View) *quota.Usage {
	if len(pods) > 0 {
		holders = slices.Clone(holders)
	}
	for _, o := range pods {
		id := o.UID
		if m := c.members[o.UID]; m != nil {
			id = m.group.id
		}
		if i := slices.IndexFunc(holders, func(h quota.Holder) bool { return h.ID == id }); i >= 0 {
			holders[i].Amounts = holders[i].Amounts.Clone().Sub(c.charge(o, view))
		}
	}
	return c.shares.Tree.Usage(holders, c.shares.total)
}

// charge is what a pod on a node counts as in the terms of the queues.
func (c *Core) charge(o Occupant, view View) cluster.Resources {
	class := ""
	if m := c.members[o.UID]; m != nil {
		class = m.Class
	}
	return c.shares.Charge(o.Requests, class, view.Nodes[o.Node].Name)
}
