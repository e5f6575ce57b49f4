package core

import (
	"fmt"
	"time"

	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
)

// maxMisses bounds how often a gang is planned again because the scheduler's
// filters refused a node, before they are left to choose the nodes themselves.
const maxMisses = 32

// attempt answers with a Pin, a Roam or a Refuse. The first member that is tried plans
// for all members that wait; the others find their place held.
func (c *Core) attempt(now time.Time, e Attempt) {
	m := c.members[e.UID]
	if m == nil {
		c.emit(Refuse{e.UID, Reason{Starting, "the scheduler has not seen this pod yet"}})
		return
	}
	g := c.group(m.group.key)
	if m.stopped != "" {
		c.goesOn(m)
	}
	if reason := c.Gate(e.UID); reason.Code != "" {
		c.emit(Refuse{e.UID, reason})
		return
	}
	if then := c.disowned(m); then.Code != "" {
		if c.doubtful(m, now) {
			c.emit(Refuse{e.UID, Reason{then.Code, fmt.Sprintf("%s may be bound to %s, where it was sent before %s; it is tried elsewhere unless that shows before %s",
				m.Name, m.node, then.Message, moment(m.doubted.Add(c.opts.WakeAfter)))}})
			return
		}
		c.drop(m)
	}
	if m.held {
		if _, exists := e.View.find(m.node); exists {
			c.emit(Pin{e.UID, m.node})
			return
		}
		c.nodeGone(m.node)
	}
	if m.state != gang.Waiting {
		c.emit(Refuse{e.UID, Reason{Starting, fmt.Sprintf("%s has a node already", m.Name)}})
		return
	}
	c.act(now)
	c.idles(now, &e.View)
	g.lastAttempt = now
	if g.rests(now, e.View) {
		c.emit(Refuse{e.UID, g.refusal.reason})
		return
	}
	c.tryAgain(now, g, e.View)
	if !c.opts.PlanAll && (g.roaming || g.trial.begun || g.sums().beyond != "") {
		c.roam(now, g, m, e.View)
		return
	}
	anew := !g.stillRefused(c, now, e.View)
	if anew {
		c.plan(now, g, e.View)
	}
	switch {
	case m.state == gang.Held:
		c.emit(Pin{e.UID, m.node})
	case g.misses > 0 && g.refusal.stands && g.reservation == nil: // a node that was refused may be right for another member, or later
		c.roam(now, g, m, e.View)
		return
	default:
		c.emit(Refuse{e.UID, g.refusal.reason})
	}
	if anew {
		c.activateHeld(g, m)
	}
}

// activateHeld wakes the members that a node is held for, the one that is being
// tried excepted.
func (c *Core) activateHeld(g *group, except *member) {
	if held := g.where(func(m *member) bool { return m.held && m != except }); len(held) > 0 {
		c.emit(Activate{UIDs: uids(held)})
	}
}

// stillRefused reports whether the last answer was no and nothing has changed
// that could turn it.
func (g *group) stillRefused(c *Core, now time.Time, view View) bool {
	r := g.refusal
	return r != nil && r.stands && r.viewEpoch == view.Epoch && r.coreEpoch == c.epoch && (r.until.IsZero() || now.Before(r.until))
}

// proposal is what the planner says of the members that wait.
type proposal struct {
	problem
	waiting   []*member       // in rank order
	plan      *placement.Plan // for the first fits of them; nil where there is none
	fits      int
	rejection *placement.Rejection // what the planner said; nil where it was not asked, or all fit
	reason    Reason               // why not all fit; zero where they do
}

// propose plans for every waiting member, or for as many as fit and are enough.
// Members that have a node already are fixed points. Where the floor does not fit it
// looks for room that others hold.
func (c *Core) propose(now time.Time, g *group, view View) proposal {
	all := g.ranked(gang.Waiting)
	p := proposal{waiting: all}
	if p.problem, p.reason = g.problem(view); p.reason.Code != "" {
		return p
	}
	p.kind = c.shares.Kind
	need := max(1, g.floor()-g.counts().Placed())
	c.look(view)
	c.weigh(now, &view)
	var capped Reason
	p.waiting, capped = c.within(now, g, all)
	if p.view.Index == nil {
		p.view.Index = placement.NewIndex(view.Nodes, view.Tree)
	}
	if least := p.slicing.steps(all, need); len(p.waiting) < need || len(least) > 0 && len(p.waiting) < least[0] {
		p.reason = Reason{capped.Code, sentence([]string{capped.Message, c.lift(now, g, p.problem, all, need)})}
		return p
	}
	putBack := c.promised(now, g).takeOff(p.view)
	p.fullFor = func(members []*member) map[string]bool { return c.full(c.shares.usage, g, members, view).kinds }
	p.plan, p.fits, p.rejection = p.solveMost(p.waiting, need)
	p.full = p.fullFor(p.waiting[:p.fits])
	contention := ""
	switch {
	case p.plan != nil && (g.drains() || g.replacing()): // until the floor has its places: nodes may still be refused
	case p.plan != nil || p.rejection == nil:
		c.unreserve(g)
	case g.contends():
		contention = c.contend(now, g, p.problem, p.waiting[:p.fits], p.rejection)
	case p.rejection.Kind == placement.DoesNotFit:
		contention = c.contest(now, g, p.problem, p.waiting[:p.fits]).blocked()
	}
	putBack()
	switch {
	case p.rejection != nil && p.rejection.Kind == placement.NoNodes && p.capped(p.waiting):
		p.reason = Reason{QuotaExceeded, "no other nodes may run the pods; " + c.full(c.shares.usage, g, p.waiting, view).said}
	case p.rejection != nil:
		taken := p.portsTaken(p.waiting)
		if (g.misses > 0 || len(p.ruledOut)+len(p.full)+taken > 0) && p.rejection.Kind == placement.Impossible {
			p.rejection.Kind = placement.DoesNotFit // on the nodes that are left
		}
		p.reason = explain(p.rejection, p.problem, c.opts.Vocabulary)
		p.reason.Message = sentence([]string{p.reason.Message, portsInUse(taken, len(view.Nodes)), c.full(c.shares.usage, g, p.waiting, view).said, contention})
	case p.fits < len(p.waiting):
		p.reason = p.slicing.incomplete(g, view, p.waiting[p.fits:])
	default:
		p.reason = capped
	}
	if p.plan != nil && p.reason.Code != "" {
		p.reason.Message = fmt.Sprintf("%d of %d members got a place; %s", p.fits, len(all), p.reason.Message)
	}
	return p
}

// plan holds a node for every waiting member, or for as many as fit and are
// enough, or refuses the gang.
func (c *Core) plan(now time.Time, g *group, view View) {
	g.replanning, g.refusal, g.shielded = false, nil, false
	p := c.propose(now, g, view)
	if p.plan != nil {
		p.assign(c)
	}
	if p.reason.Code != "" {
		c.refuseFor(now, g, p)
	}
}

// refuseFor refuses the members that a proposal has no place for.
func (c *Core) refuseFor(now time.Time, g *group, p proposal) {
	c.refuse(g, p.view, p.reason)
	g.refusal.rejection = p.rejection
	if (p.rejection != nil || p.reason.Code == QuotaExceeded) && p.view.Others != nil {
		g.refusal.until = now.Add(c.opts.WakeAfter) // who runs, for how long, and what a queue holds change by themselves
		for _, from := range c.dues(g) {
			if from.After(now) && from.Before(g.refusal.until) {
				g.refusal.until = from
			}
		}
	}
}

// refuse records that members that wait have no place. If the floor has none
// because of where some siblings already are, those are given back as well, and
// the gang is planned anew without them.
func (c *Core) refuse(g *group, view View, reason Reason) {
	if g.misses > 0 {
		reason.Message += "; " + g.lastMiss
	}
	again := false
	if counts := g.counts(); counts.Placed() < g.floor() {
		if again = counts.Reserved > 0; !again || g.why.Code == "" {
			g.why = reason
		}
		c.giveBack(g, reason)
	}
	g.refusal = &refusal{reason: reason, stands: !again, viewEpoch: view.Epoch, coreEpoch: c.epoch}
	if again {
		c.activateLeader(g)
	}
}

// nodes are the places of the nodes that the plan gives to the members, in their order.
func (p proposal) nodes() []int {
	_, index := p.request(p.waiting[:p.fits])
	return p.plan.Assign(index)
}

// assign turns the plan into holds.
func (p proposal) assign(c *Core) {
	for i, node := range p.nodes() {
		c.hold(p.waiting[i], p.view.Nodes[node].Name)
	}
}

// missed takes in that a pinned node was refused: it is excluded for the
// member's class, and the members without a node are planned again around those
// that are reserved. The next attempt does the planning, at once.
func (c *Core) missed(now time.Time, e Missed) {
	m := c.members[e.UID]
	if m != nil && m.roams && e.Node == "" {
		c.nowhere(now, m, e.Why)
		return
	}
	if m == nil || !m.held || m.node != e.Node {
		return
	}
	if c.doubtful(m, now) {
		return // it is tried there once more
	}
	g := c.group(m.group.key)
	g.exclude(now, m, e)
	g.vain.refused(now)
	c.notThere(g, e.Node)
	if g.misses > maxMisses {
		g.trial.begun = true
		c.giveBack(g, Reason{NodeRefused, g.lastMiss})
		c.activateLeader(g)
		return
	}
	c.drop(m)
	for _, held := range g.ranked(gang.Held) {
		c.drop(held)
	}
	g.replanning = true
	if g.why.Code == "" {
		g.why = Reason{NodeRefused, g.lastMiss}
	}
	c.activateLeader(g)
}

func (g *group) exclude(now time.Time, m *member, e Missed) {
	if g.excluded == nil {
		g.excluded = map[string]map[string]bool{}
	}
	if g.excluded[m.Class] == nil {
		g.excluded[m.Class] = map[string]bool{}
	}
	g.excluded[m.Class][e.Node] = true
	g.misses++
	g.missedAt = now
	g.lastMiss = fmt.Sprintf("%s refused %s: %s", e.Node, m.Name, e.Why)
}

// tryAgain lets every node be tried again, ever less often, where room is reserved for the
// gang: it does not roam then, so nothing else would.
func (c *Core) tryAgain(now time.Time, g *group, view View) {
	if g.misses == 0 || g.reservation == nil {
		return
	}
	t := &g.trial
	t.begin(view)
	if now.Sub(g.missedAt) >= min(c.opts.WakeAfter<<min(t.again, 16), c.opts.MaxRest) {
		g.forgive()
		t.again++
	}
}

// forgive lets every node be tried again.
func (g *group) forgive() {
	g.excluded, g.misses = nil, 0
	g.changed()
}
