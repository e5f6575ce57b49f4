package core

import (
	"time"

	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/preemption"
)

// Victims are who would have to go for a gang.
type Victims struct {
	Evictions []Eviction
	// Violations of disruption budgets.
	Violations int
	// Exact is true where it is known that no choice is better.
	Exact bool
	// Rejection says what would be missing without all that may go; nil where the gang
	// gets its place.
	Rejection *placement.Rejection
}

// Eviction is what goes of a gang, or of a pod without one.
type Eviction struct {
	Key  gang.Key // the pod's own name where it has no gang
	UIDs []string
	// Whole is false for members above the floor: the gang goes on.
	Whole bool
}

// Victims says who would have to go so that a gang gets its floor, chosen as an attempt
// would choose them, and changes nothing. It is not ok where the gang needs nothing or
// may not evict anybody. The view says who the others are.
func (c *Core) Victims(now time.Time, key gang.Key, view View) (v Victims, ok bool) {
	f := &contest{core: c, now: now, gang: c.groups[key], view: view}
	if f.request, ok = c.needed(now, key, view); !ok || !c.preempts(f.gang) {
		return v, false
	}
	c.look(view)
	f.tenants, f.leaving = c.tenants(now, view)
	putBack := c.promised(now, f.gang).takeOff(view)
	defer putBack()
	options := preemption.Options{Priority: f.gang.priority()}
	candidates, of := f.candidates(&options)
	choice, rejection := preemption.Search(view.Index, f.request, candidates, options)
	if rejection != nil {
		return Victims{Rejection: rejection}, true
	}
	v.Violations, v.Exact = choice.Violations, choice.Exact
	for _, victim := range choice.Victims {
		t := of[victim.Candidate]
		e := Eviction{Key: t.key, Whole: victim.Whole}
		for _, place := range victim.Pods {
			e.UIDs = append(e.UIDs, t.pods[place].UID)
		}
		v.Evictions = append(v.Evictions, e)
	}
	return v, true
}

// needed is the request for the members that a gang's floor still lacks, as the next
// attempt would make it: what victims may be looked for. It is not ok where the gang
// has its floor, or may not be tried, or its queue may not hold it.
func (c *Core) needed(now time.Time, key gang.Key, view View) (req placement.Request, ok bool) {
	g := c.groups[key]
	if g == nil || g.leader() == nil || g.gate().Code != "" {
		return req, false
	}
	need := g.floor() - g.counts().Placed()
	problem, reason := g.problem(view)
	if need <= 0 || reason.Code != "" {
		return req, false
	}
	waiting, _ := c.within(now, g, g.ranked(gang.Waiting))
	steps := problem.slicing.steps(waiting, need)
	if len(waiting) < need || len(steps) == 0 {
		return req, false
	}
	problem.kind, problem.full = c.shares.Kind, c.full(c.shares.usage, g, waiting[:steps[0]], view).kinds
	req, _ = problem.request(waiting[:steps[0]])
	return req, true
}
