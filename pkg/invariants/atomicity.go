package invariants

import (
	"fmt"
	"time"
)

// judgeAtomicity is S1: live members that are bound are none, or the floor. A gang may
// be in between while it is being bound or healed. One of which members do not exist
// is its owner's to complete: it is judged where the owner is a job that is to run.
func (c *Checker) judgeAtomicity(g *gangState) {
	t := c.world.tally(g, c.member)
	if !c.torn(g, t) {
		c.clear("S1", g.object())
		return
	}
	since := c.now
	if c.listing {
		since = g.lastChange(c.now)
	}
	c.suspect("S1", g.object(), since, c.opts.Repair, func(since time.Time) (Violation, bool) {
		t := c.world.tally(g, c.member)
		missing := ""
		if short := g.floor() - t.exist - t.succeeded; short > 0 {
			missing = fmt.Sprintf(", and %d of the others do not exist", short)
		}
		return Violation{Objects: []string{g.object()}, Evidence: g.evidence(), Sentence: fmt.Sprintf(
			"podgroup %s has had %d of its floor of %d members bound for %s%s; it should have none or all",
			g.key, t.bound+t.succeeded, g.floor(), lasted(since, c.now), missing)}, true
	})
}

// torn: a part of the floor is bound, and it can be expected that this changes.
func (c *Checker) torn(g *gangState, t tally) bool {
	if g.group == nil || t.bound == 0 || t.bound+t.succeeded >= g.floor() {
		return false
	}
	if t.exist+t.succeeded >= g.floor() {
		return true
	}
	j := c.world.jobs[g.group.Job]
	return j != nil && !j.Ended && !j.Suspended && !j.Foreign
}

// lastChange is when a member was last created or bound, by what they say.
func (g *gangState) lastChange(otherwise time.Time) time.Time {
	var last time.Time
	for _, p := range g.pods {
		if at := p.Created; at.After(last) {
			last = at
		}
		if p.Node != "" && p.boundAt.After(last) {
			last = p.boundAt
		}
	}
	if last.IsZero() {
		return otherwise
	}
	return last
}

// member: the pod is placed by Lockstep.
func (c *Checker) member(p *podState) bool { return c.ours(p, "") }

func lasted(since, now time.Time) time.Duration { return now.Sub(since).Round(time.Second) }
