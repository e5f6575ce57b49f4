package invariants

import "strings"

// judgeFence is S5: a bind is made by the holder of the scheduler's lease. Where there
// is no lease, or nobody has renewed one since the history began, there is no election.
func (c *Checker) judgeFence(p *podState) {
	l := c.world.lease
	if l == nil || !l.proven {
		return
	}
	objects, evidence := []string{p.object()}, []Event{l.event, p.bind}
	switch since := c.now.Sub(l.renewed); {
	case strings.HasPrefix(p.bind.By, c.opts.SchedulerWriter) && l.Holder != "" && p.bind.By != l.Holder:
		c.broken("S5", objects, evidence, "pod %s was bound by %s while %s held the lease", p, p.bind.By, l.Holder)
	case l.Holder == "" && since > c.opts.Staleness:
		c.broken("S5", objects, evidence, "pod %s was bound %s after the scheduler's lease had been given up, and nobody had taken it", p, lasted(l.renewed, c.now))
	case since > l.Duration+c.opts.Staleness:
		c.broken("S5", objects, evidence, "pod %s was bound %s after the scheduler's lease of %s was last renewed", p, lasted(l.renewed, c.now), l.Duration)
	}
}

// judgeLease: a new scheduler begins to repair anew.
func (c *Checker) judgeLease(e Event, before *change) {
	if before.lease == nil || before.lease.Holder != e.Lease.Holder {
		for _, invariant := range []string{"S1", "V1", "V2", "L1"} {
			c.restart(invariant)
		}
	}
}
