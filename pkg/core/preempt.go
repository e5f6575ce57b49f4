package core

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/preemption"
	"lockstep.dev/lockstep/pkg/quota"
)

// yields reports whether somebody may be evicted for the gang: who is less important,
// or agreed to go for whoever has a reservation.
func (c *Core) yields(g *group, claim Claim) bool {
	return c.preempts(g) && claim.Priority < g.priority() || g.mayRevoke(claim)
}

// mayRevoke reports whether somebody has agreed to go for the gang. Whoever is more
// important may have the room back at once, and two that are revocable would end each
// other in turn.
func (g *group) mayRevoke(claim Claim) bool { return g.reservation != nil && g.revokes(claim) }

// revokes reports whether somebody goes for the gang once it has a reservation.
func (g *group) revokes(claim Claim) bool {
	return claim.Revocable && (claim.Priority < g.priority() || claim.Priority == g.priority() && !g.spec.Revocable)
}

// yields is what Core.yields says, or will.
func (f *contest) yields(claim Claim) bool { return f.core.yields(f.gang, claim) || f.mayRevoke(claim) }

func (f *contest) mayRevoke(claim Claim) bool {
	return f.gang.mayRevoke(claim) || f.due >= RoomReserved && f.gang.revokes(claim)
}

// preempts reports whether the gang may evict others at all.
func (c *Core) preempts(g *group) bool { return !c.opts.NoPreemption && !g.patient() }

// vain remembers that others were evicted for a gang, and that the scheduler's own
// filters then refused its place, or that others took it again and again: the planner sees
// less than the filters do, and would have the same victims evicted for ever.
type vain struct {
	evicted bool      // others were, and nothing has come of it yet
	rounds  int       // how often, one after another
	all     int       // how often it was in vain
	why     string    // it was
	times   int       // that it had to rest, one after another
	until   time.Time // nobody is evicted for it
}

// mostRounds is how often others are evicted for a gang at once, one round after another,
// although it has got no place meanwhile.
const mostRounds = 3

// refused takes in that a place was refused.
func (v *vain) refused(now time.Time) { v.failed(now, "the scheduler's filters refused the place") }

func (v *vain) failed(now time.Time, why string) {
	if !v.evicted {
		return
	}
	v.why, v.all, v.rounds = why, v.all+v.rounds, 0
	v.until = now.Add(min(time.Minute<<min(v.times, 6), time.Hour))
	v.evicted, v.times = false, v.times+1
}

// preempt evicts those who yield, if that makes room: the fewest, chosen together
// with the place.
func (f *contest) preempt() (said string, done bool) {
	who := f.candidates()
	if len(who.list) == 0 && !f.lifts {
		if plan, _ := f.view.Index.Solve(f.request); plan != nil { // what leaves counts as free
			return f.whenLeft(), false
		}
		return "", false
	}
	if v := f.gang.vain; f.now.Before(v.until) {
		return fmt.Sprintf("others were evicted for it %s in vain, because %s; nobody is before %s",
			count(v.all, "time"), v.why, moment(v.until)), false
	}
	choice, rejection := f.choose(who)
	switch {
	case rejection != nil:
		return "", false
	case len(choice.victims) == 0:
		return f.soon(choice.plan), true
	case choice.violations > 0:
		f.gang.shielded = true
		return fmt.Sprintf("less important pods would make room, but for PodDisruptionBudgets, which protect %d of them", choice.violations), false
	}
	if v := &f.gang.vain; v.evicted && v.rounds >= mostRounds {
		v.failed(f.now, "the room went to others")
		return f.preempt()
	}
	r := reservation{victims: map[string]bool{}, Reservation: Reservation{
		Kind: Preempting, Since: f.now, Start: f.now.Add(evictionTime), Room: f.room(choice.plan),
	}}
	for _, victim := range choice.victims {
		evict := f.evict(victim.tenant, victim.Victim)
		for _, uid := range evict.UIDs {
			r.victims[uid] = true
		}
		f.core.emit(evict)
	}
	f.core.reserve(f.gang, r)
	f.gang.vain.evicted = true
	f.gang.vain.rounds++
	return fmt.Sprintf("%s evicted for it, and room is reserved for it on %s", are(len(r.victims), "pod"), count(len(r.Room), "node")), true
}

// budgetsRelaxed has the gangs tried for which nobody went but for disruption budgets.
func (c *Core) budgetsRelaxed() {
	for _, g := range c.order {
		if g.shielded {
			g.changed()
			c.activateLeader(g)
		}
	}
}

// soon: it fits once those have left that are leaving. A gang for which others were
// evicted keeps that room; others are not evicted for it.
func (f *contest) soon(plan *placement.Plan) string {
	if r := f.gang.reservation; r != nil {
		next := *r
		next.Room = f.room(plan)
		if r.Kind == Draining {
			next.Kind = Preempting
		}
		f.core.reserve(f.gang, next)
	}
	return f.whenLeft()
}

func (f *contest) whenLeft() string {
	if len(f.leaving) == 1 {
		return "it fits when 1 pod on the way out has left"
	}
	return fmt.Sprintf("it fits when %s on the way out have left", count(len(f.leaving), "pod"))
}

// candidates are who may go.
type candidates struct {
	list    []preemption.Candidate
	of      []*tenant // which each is
	options preemption.Options
}

// candidates lists the tenants that may go.
func (f *contest) candidates() (who candidates) {
	who.options.Priority = f.gang.priority()
	if !f.core.preempts(f.gang) {
		who.options.Priority = math.MinInt32 // nobody but who agreed to
	}
	budgets := Budgets{}
	if f.view.Budgets != nil {
		budgets = f.view.Budgets()
	}
	who.options.Budgets = f.spend(budgets)
	f.entitle()
	for _, t := range f.tenants {
		part, reclaimed := f.rights.of(t.id, f.yields(t.Claim))
		if part == quota.Surplus {
			t = t.surplus()
		}
		if t.protected || t.key == f.gang.key || slices.ContainsFunc(f.first, func(v taken) bool { return v.tenant.id == t.id }) || part == quota.Nothing || len(t.pods) == 0 {
			continue
		}
		candidate := preemption.Candidate{
			Gang: t.key, Priority: t.Priority, Floor: t.floor, Surplus: t.stays, Reclaimed: reclaimed || t.Priority >= who.options.Priority,
		}
		for _, o := range t.pods {
			candidate.Pods = append(candidate.Pods, preemption.Pod{
				Node: o.Node, Requests: o.Requests, Lost: lost(o, f.now), Budgets: budgets.Of[o.UID], Firm: o.Firm,
			})
		}
		who.list, who.of = append(who.list, candidate), append(who.of, t)
	}
	return who
}

// choice is who goes for a gang, and where it has its place then.
type choice struct {
	victims    []taken
	plan       *placement.Plan
	violations int // of disruption budgets
	exact      bool
}

// choose finds the fewest who go, beside those who go first.
func (f *contest) choose(who candidates) (choice, *placement.Rejection) {
	found, rejection := preemption.Search(f.view.Index, f.request, who.list, who.options)
	if rejection != nil {
		return choice{}, rejection
	}
	victims := slices.Clone(f.first)
	for _, victim := range found.Victims {
		victims = append(victims, taken{who.of[victim.Candidate], victim})
	}
	return choice{victims, found.Plan, found.Violations + f.spent, found.Exact}, nil
}

// lost is the work that goes with a pod, in GPU-seconds; zero for one without GPUs.
func lost(o Occupant, now time.Time) int64 {
	primary := o.Requests.Primary()
	if primary == cluster.CPU || o.Since.IsZero() {
		return 0
	}
	return o.Requests.Get(primary) * max(0, int64(now.Sub(o.Since)/time.Second))
}

// evict is what a victim is told.
func (f *contest) evict(t *tenant, v preemption.Victim) Evict {
	e := Evict{Key: t.key}
	var names []string
	for _, place := range v.Pods {
		e.UIDs = append(e.UIDs, t.pods[place].UID)
		names = append(names, t.pods[place].Pod.Name)
	}
	what := fmt.Sprintf("the whole of %s goes", t.key)
	switch {
	case t.lone:
		what = fmt.Sprintf("pod %s goes", t.key)
	case !v.Whole:
		verb := "goes"
		if len(names) > 1 {
			verb = "go"
		}
		what = fmt.Sprintf("%s, above the minimum of %s, %s", strings.Join(names, ", "), t.key, verb)
	}
	code, why := f.right(t)
	e.Reason = Reason{code, fmt.Sprintf("%s, which needs room for %s: %s, of priority %d (decided %s)",
		why, count(f.request.Size(), "pod"), what, t.Priority, moment(f.now))}
	return e
}

// right is what gives the gang the right to somebody's room.
func (f *contest) right(t *tenant) (Code, string) {
	switch g := f.gang; {
	case t.Priority < g.priority() && f.core.preempts(g):
		return Preempted, fmt.Sprintf("preempted for gang %s of priority %d", g.key, g.priority())
	case f.mayRevoke(t.Claim):
		return Revoked, fmt.Sprintf("revocable, and ended for the reservation of gang %s", g.key)
	case f.rights.balances(t.id):
		return Balanced, fmt.Sprintf("its queue has borrowed more for its weight than queue %s will have with gang %s", g.spec.Queue, g.key)
	default:
		return Reclaimed, fmt.Sprintf("borrowed, and taken back for what queue %s is guaranteed by gang %s", g.spec.Queue, g.key)
	}
}
