package core

import (
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
)

// Needed is the request for the members that a gang's floor still lacks, as the next
// attempt would make it: what victims may be looked for. It is not ok where the gang
// has its floor or may not be tried.
func (c *Core) Needed(key gang.Key, view View) (req placement.Request, ok bool) {
	g := c.groups[key]
	if g == nil || g.leader() == nil || g.gate().Code != "" {
		return req, false
	}
	need := g.floor() - g.counts().Placed()
	problem, reason := g.problem(view)
	if need <= 0 || reason.Code != "" {
		return req, false
	}
	waiting := g.ranked(gang.Waiting)
	steps := problem.slicing.steps(waiting, need)
	if len(steps) == 0 {
		return req, false
	}
	req, _ = problem.request(waiting[:steps[0]])
	return req, true
}
