package invariants

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// waits: the gang is complete, or not even that, and its floor is not bound.
func (g *gangState) waits(t tally) bool {
	return g.group != nil && !g.group.Finished && t.bound+t.succeeded < g.floor() && (t.foreign == 0 || t.exist+t.barred > 0)
}

// judgeReason is V1: a gang that waits says why, with numbers where it is about numbers.
func (c *Checker) judgeReason(g *gangState) {
	t := c.world.tally(g, c.member)
	if !g.waits(t) {
		c.clear("L1", g.object()) // nobody asks the planner about it any more
	}
	if !g.waits(t) || t.failed > 0 {
		g.pending = time.Time{}
		c.clear("V1", g.object())
		return
	}
	if g.pending.IsZero() {
		g.pending, g.overtaken = c.now, 0
		if c.listing {
			g.pending = g.group.Created
		}
	}
	if c.silent(g, t) == "" {
		c.clear("V1", g.object())
		return
	}
	since := c.now
	if c.listing {
		since = g.pending
	}
	c.suspect("V1", g.object(), since, c.opts.Explain, func(since time.Time) (Violation, bool) {
		wrong := c.silent(g, c.world.tally(g, c.member))
		return Violation{Objects: []string{g.object()}, Evidence: g.evidence(), Sentence: fmt.Sprintf(
			"podgroup %s waits, and for %s %s", g.key, lasted(since, c.now), wrong)}, wrong != ""
	})
}

// numeric are the reasons that are about amounts.
var numeric = map[string]bool{"DoesNotFit": true, "Impossible": true, "WaitingForMembers": true, "NoEligibleNodes": true}

// silent says what a gang that waits does not tell; empty if it tells all.
func (c *Checker) silent(g *gangState, t tally) string {
	switch p := g.group; {
	case p.Placed: // which is V2's concern
	case p.Reason == "" || p.Message == "":
		return "its condition has said nothing"
	case numeric[p.Reason] && !strings.ContainsFunc(p.Message, unicode.IsDigit):
		return fmt.Sprintf("its reason %s (%q) has named no number", p.Reason, p.Message)
	case p.Reason == "WaitingForMembers" && t.bound == 0:
		if want := fmt.Sprintf("%d of %d members", t.exist+t.succeeded, g.floor()); !strings.Contains(p.Message, want) {
			return fmt.Sprintf("it has told %q, and %s exist", p.Message, want)
		}
	}
	return ""
}

// judgeVerdict is L1: a gang that fits, and whose queue may hold it, does not wait for long.
func (c *Checker) judgeVerdict(e Event) {
	g := c.world.gangs[e.Verdict.Gang]
	object := "podgroup/" + e.Verdict.Gang.String()
	if g == nil || !e.Verdict.Fits || !g.waits(c.world.tally(g, c.member)) || c.capped(g) {
		c.clear("L1", object)
		return
	}
	c.suspect("L1", object, c.now, c.opts.Notice, func(since time.Time) (Violation, bool) {
		return Violation{Objects: []string{object}, Evidence: append(g.evidence(), e), Sentence: fmt.Sprintf(
			"podgroup %s has fitted for %s and is not bound: %s", g.key, lasted(since, c.now), e.Verdict.Text)}, g.waits(c.world.tally(g, c.member)) && !c.capped(g)
	})
}

// overtakers is how many gangs may go before one that waits for longer than the
// bound; a few may have been on their way.
const overtakers = 10

// judgeOvertaking is L2: when a gang gets its place, those that came before it, are as
// important and still wait are overtaken.
func (c *Checker) judgeOvertaking(g *gangState) {
	t := c.world.tally(g, c.member)
	placed := g.group != nil && t.bound+t.succeeded >= g.floor() && t.bound > 0
	was := g.placed
	g.placed = placed
	if !placed || was || !c.synced {
		return
	}
	for _, key := range sortedGangs(c.world.gangs) {
		other := c.world.gangs[key]
		if other.pending.IsZero() || !other.pending.Before(g.group.Created) {
			continue
		}
		o := c.world.tally(other, c.member)
		if o.exist+o.succeeded < other.floor() || t.priority > o.priority {
			continue
		}
		other.overtaken++
		if waited := c.now.Sub(other.pending); waited > c.opts.Starvation && other.overtaken == overtakers {
			c.broken("L2", []string{other.object(), g.object()}, append(other.evidence(), g.event),
				"podgroup %s of priority %d has waited for %s, and %d gangs that came later and are no more important got their places; the last is %s",
				other.key, o.priority, lasted(other.pending, c.now), other.overtaken, g.key)
		}
	}
}
