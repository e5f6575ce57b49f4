package invariants

import (
	"fmt"
	"time"
)

// judgeStatus is V2: a PodGroup's status is what follows from its pods. Whenever that
// changes there is time again to write it.
func (c *Checker) judgeStatus(g *gangState) {
	t := c.world.tally(g, c.member)
	if g.group == nil || t.foreign > 0 && t.exist == 0 || c.untrue(g, t) == "" {
		c.clear("V2", g.object())
		return
	}
	if t != g.status {
		c.clear("V2", g.object())
	}
	g.status = t
	c.suspect("V2", g.object(), c.now, c.opts.Settle, func(since time.Time) (Violation, bool) {
		wrong := c.untrue(g, c.world.tally(g, c.member))
		return Violation{Objects: []string{g.object()}, Evidence: g.evidence(), Sentence: fmt.Sprintf(
			"podgroup %s has said for %s %s", g.key, lasted(since, c.now), wrong)}, wrong != ""
	})
}

// untrue says what of a PodGroup's status is not so; empty if all is.
func (c *Checker) untrue(g *gangState, t tally) string {
	if g.group == nil {
		return ""
	}
	p := g.group
	placed := t.bound+t.succeeded >= g.floor()
	switch {
	case p.Running != t.running:
		return fmt.Sprintf("that %d members run, and %d do", p.Running, t.running)
	case p.Succeeded != t.succeeded:
		return fmt.Sprintf("that %d members have succeeded, and %d have", p.Succeeded, t.succeeded)
	case p.Placed && !placed:
		return fmt.Sprintf("that it has its place, and %d of its floor of %d members are bound", t.bound+t.succeeded, g.floor())
	case !p.Placed && placed:
		return fmt.Sprintf("that it waits (%s), and %d members are bound, which is its floor of %d", p.Reason, t.bound+t.succeeded, g.floor())
	}
	return ""
}
