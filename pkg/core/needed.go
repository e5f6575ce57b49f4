package core

import (
	"time"

	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
)

// Due is what a gang has waited for: more may go for it then.
type Due int

// Each beside those before.
const (
	AsItIs       Due = iota
	SharesDue        // Options.ReclaimAfter is over
	RoomReserved     // so is Options.ReserveAfter, and it has a reservation
)

// Victims are who would have to go for a gang.
type Victims struct {
	Evictions []Eviction
	// Violations of disruption budgets.
	Violations int
	// Exact is true where it is known that no choice is better.
	Exact bool
	// Capped is true where a cap keeps the gang out even without all that may go.
	Capped bool
	// Patient is true where the gang has nobody evicted but who has agreed to go.
	Patient bool
	// Rejection says what would be missing without all that may go; nil where the gang
	// gets its place.
	Rejection *placement.Rejection
}

// None reports whether nobody who goes is of help.
func (v Victims) None() bool { return v.Capped || v.Rejection != nil }

// Eviction is what goes of a gang, or of a pod without one.
type Eviction struct {
	Evict
	// Whole is false for members above the floor: the gang goes on.
	Whole bool
}

// Victims says who would have to go so that a gang gets its floor, chosen as an attempt
// would choose them once it has waited, and changes nothing. It is not ok where the gang needs
// nothing or may not be tried. The view says who the others are.
func (c *Core) Victims(now time.Time, key gang.Key, view View, due Due) (v Victims, ok bool) {
	f := &contest{core: c, now: now, gang: c.groups[key], view: view, due: due}
	p, members := f.needed()
	if len(members) == 0 {
		return v, false
	}
	c.look(view)
	f.tenants, f.leaving = c.tenants(now, view)
	putBack, may := f.open(p, members)
	if !may {
		return Victims{Capped: true, Patient: f.gang.patient()}, true
	}
	defer putBack()
	choice, rejection := f.choose(f.candidates())
	if rejection != nil {
		return Victims{Rejection: rejection, Patient: f.gang.patient()}, true
	}
	v.Violations, v.Exact = choice.violations, choice.exact
	for _, victim := range choice.victims {
		v.Evictions = append(v.Evictions, Eviction{f.evict(victim.tenant, victim.Victim), victim.Whole})
	}
	return v, true
}

// needed are the members that a gang's floor lacks, as the next attempt would ask for them.
// None where it has its floor, or may not be tried.
func (f *contest) needed() (p problem, members []*member) {
	g := f.gang
	if g == nil || g.leader() == nil || g.gate().Code != "" {
		return p, nil
	}
	p, reason := g.problem(f.view)
	need, waiting := g.floor()-g.counts().Placed(), g.ranked(gang.Waiting)
	steps := p.slicing.steps(waiting, need)
	if need <= 0 || reason.Code != "" || len(steps) == 0 {
		return p, nil
	}
	p.kind = f.core.shares.Kind
	return p, waiting[:steps[0]]
}

// open makes a contest about the place of members: where a cap keeps them out, below that.
func (f *contest) open(p problem, members []*member) (putBack func(), ok bool) {
	c, g := f.core, f.gang
	if admitted, _ := c.within(f.now, g, members); len(admitted) < len(members) {
		return f.below(p, members)
	}
	p.full = c.full(c.shares.usage, g, members, f.view).kinds
	f.request, _ = p.request(members)
	give := c.promised(f.now, g).takeOff(f.view)
	takeBack := f.free(f.leaving)
	return func() { takeBack(); give() }, true
}
