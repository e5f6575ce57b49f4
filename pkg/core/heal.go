package core

import (
	"fmt"
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/gang"
)

// act takes over from whoever acted before.
func (c *Core) act(now time.Time) {
	if !c.acting {
		c.acting = true
		c.adopt(now)
	}
}

// elected gives gangs that are bound in part the whole heal time-out, but for those that were
// being evicted.
func (c *Core) elected(now time.Time) {
	c.act(now)
	for _, g := range c.order {
		if !g.healingSince.IsZero() {
			g.healingSince = now
		}
		c.finishEviction(g)
	}
}

// finishEviction ends the rest of a gang that whoever acted before has evicted in part: all
// that are to go say so before the first goes.
func (c *Core) finishEviction(g *group) {
	marked := g.where(func(m *member) bool { return m.state == gang.Bound && m.evicted.Code != "" })
	if len(marked) > 0 && g.torn() {
		c.emit(Evict{Key: g.key, UIDs: uids(g.ranked(gang.Bound)), Reason: marked[0].evicted})
	}
}

// tick ends gangs that have been healing for too long, and wakes those that have
// not been tried for a while, in case the event that should have done so got lost,
// and those that were refused before the core gave capacity back.
func (c *Core) tick(now time.Time) {
	c.weigh(now, nil)
	c.idles(now, nil)
	if g := c.roaming; g != nil && g.counts().Reserved == 0 && now.Sub(g.lastAttempt) >= c.opts.WakeAfter {
		c.stopRoaming(g) // nobody has said what became of the member that was tried
	}
	for _, g := range c.order {
		if g.gate().Code != "" {
			c.endDoubts(now, g)
			if g.reservation != nil {
				c.touched[g.key] = g // it may have had that for long enough
			}
		}
		if !g.slow && !g.between.IsZero() && now.Sub(g.between) >= c.opts.WakeAfter {
			c.touched[g.key] = g // that is told
		}
		if g.gate().Code == GroupNotFound {
			continue
		}
		switch g.phase() {
		case gang.Healing, gang.Releasing:
			if !g.healingSince.IsZero() && now.Sub(g.healingSince) >= c.opts.HealTimeout && g.counts().Bound > 0 && !g.underWay() {
				c.evict(g, now)
				continue
			}
		case gang.Incomplete, gang.Degraded:
			continue
		case gang.Queued, gang.Planned, gang.Placed:
		}
		if now.Before(g.trial.until) {
			continue
		}
		if now.Sub(g.lastAttempt) >= c.opts.WakeAfter || c.isDue(now, g) || !g.trial.until.IsZero() || g.refusal != nil && g.refusal.coreEpoch != c.epoch {
			g.lastAttempt = now
			c.activateLeader(g)
			c.activateHeld(g, nil)
		}
	}
}

// dues are the moments from which on a gang that waits may get what it may not before: the
// share of its queue, and a reservation. They are zero where it never may.
func (c *Core) dues(g *group) [2]time.Time { return [2]time.Time{c.sharesFrom(g), c.roomFrom(g)} }

// isDue reports whether one of the moments has come since the gang's last attempt.
func (c *Core) isDue(now time.Time, g *group) bool {
	if !g.wantsRoom() {
		return false
	}
	dues := c.dues(g)
	return slices.ContainsFunc(dues[:], func(from time.Time) bool {
		return !from.IsZero() && !now.Before(from) && g.lastAttempt.Before(from)
	})
}

// endDoubts gives back nodes where members may have been bound, and were not seen to be in
// time. A gang that may be tried finds out by trying.
func (c *Core) endDoubts(now time.Time, g *group) {
	for _, m := range g.where(func(m *member) bool { return m.state == gang.Binding && m.held && !c.doubtful(m, now) }) {
		c.touched[g.key] = g
		c.drop(m)
	}
}

// underWay reports whether a bind may still take place of which nothing bad is known.
func (g *group) underWay() bool {
	return len(g.where(func(m *member) bool { return m.state == gang.Binding && !m.held })) > 0
}

// evict ends the part of a gang that is bound, so that nobody waits for it any longer.
func (c *Core) evict(g *group, now time.Time) {
	c.touched[g.key] = g
	why := "the rest found no place"
	if reason := g.reason(); reason.Code != "" {
		why = reason.Message
	}
	bound := g.ranked(gang.Bound)
	reason := Reason{NotHealed, fmt.Sprintf("%d of %d members were bound for %s and the gang could not be completed (%s); "+
		"they are evicted so that it can start again whole", len(bound), g.floor(), now.Sub(g.healingSince).Round(time.Second), why)}
	c.giveBack(g, reason)
	c.emit(Evict{Key: g.key, UIDs: uids(bound), Reason: reason})
	g.healingSince = now // again only after another time-out, if the pods do not go
}
