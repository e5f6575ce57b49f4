package core

import (
	"fmt"
	"time"

	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
)

// maxMisses bounds how often a gang is planned again because the scheduler's
// filters refused a node, before it is refused itself for a while.
const maxMisses = 32

// attempt answers with a Pin or a Refuse. The first member that is tried plans
// for all members that wait; the others find their place held.
func (c *Core) attempt(now time.Time, e Attempt) {
	m := c.members[e.UID]
	if m == nil {
		c.emit(Refuse{e.UID, Reason{Starting, "the scheduler has not seen this pod yet"}})
		return
	}
	g := c.group(m.group.key)
	if reason := c.Gate(e.UID); reason.Code != "" {
		c.emit(Refuse{e.UID, reason})
		return
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
	c.act()
	g.lastAttempt = now
	if g.misses > 0 && now.Sub(g.missedAt) >= c.opts.WakeAfter {
		g.forgive()
	}
	anew := !g.stillRefused(c, now, e.View)
	if anew {
		c.plan(now, g, e.View)
	}
	if m.state == gang.Held {
		c.emit(Pin{e.UID, m.node})
	} else {
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

// plan holds a node for every waiting member, or for as many as fit and are
// enough, or refuses the gang. Members that have a node already are fixed points.
func (c *Core) plan(now time.Time, g *group, view View) {
	g.replanning = false
	problem, reason := g.problem(view)
	var rejection *placement.Rejection
	if reason.Code == "" {
		waiting, counts := g.ranked(gang.Waiting), g.counts()
		need := max(1, g.floor()-counts.Placed())
		if problem.view.Index == nil {
			problem.view.Index = placement.NewIndex(view.Nodes, view.Tree)
		}
		putBack := c.promised(now, g).takeOff(problem.view)
		var plan *placement.Plan
		var n int
		plan, n, rejection = problem.solveMost(waiting, need)
		contention := ""
		if plan == nil && rejection != nil {
			contention = c.contend(now, g, problem, waiting[:n], rejection)
		} else {
			c.unreserve(g)
		}
		putBack()
		g.refusal = nil
		switch {
		case rejection != nil:
			if g.misses > 0 && rejection.Kind == placement.Impossible {
				rejection.Kind = placement.DoesNotFit // on the nodes that were not refused
			}
			reason = explain(rejection, problem, c.opts.Vocabulary)
			if contention != "" {
				reason.Message += "; " + contention
			}
		case n < len(waiting):
			reason = problem.slicing.incomplete(g, view, waiting[n:])
		}
		if plan != nil {
			problem.assign(c, waiting[:n], plan)
		}
		if plan != nil && reason.Code != "" {
			reason.Message = fmt.Sprintf("%d of %d members got a place; %s", n, len(waiting), reason.Message)
		}
	}
	if reason.Code != "" {
		c.refuse(g, view, reason)
		g.refusal.rejection = rejection
		if rejection != nil && view.Others != nil {
			g.refusal.until = now.Add(c.opts.WakeAfter) // who runs, and for how long, changes by itself
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

// problem is a gang's wish in the planner's terms, members apart.
type problem struct {
	view      View
	fixed     []int
	required  int
	preferred int
	slicing   slicing
	excluded  map[string]map[string]bool // by class: nodes that were refused
}

func (g *group) problem(view View) (problem, Reason) {
	p := problem{view: view, excluded: g.excluded}
	if g.misses > maxMisses {
		return p, Reason{NodeRefused, fmt.Sprintf("%d nodes were refused one after another", g.misses)}
	}
	var reason Reason
	if p.required, reason = g.level(g.spec.Required, view); reason.Code != "" {
		return p, reason
	}
	sliced, reason := g.level(g.spec.Slices.Level, view)
	if reason.Code != "" {
		return p, reason
	}
	p.slicing = g.slicingOf(view, sliced)
	p.preferred, _ = view.Tree.LevelOf(g.spec.Preferred.Name) // a level that is not there is not worth waiting for
	for _, m := range g.ranked(gang.Held, gang.Reserved, gang.Binding, gang.Bound) {
		if node, ok := view.find(m.node); ok {
			p.fixed = append(p.fixed, node)
		}
	}
	return p, Reason{}
}

// level finds a level by the name that the gang gives it; the cluster where it gives none.
func (g *group) level(wish gang.Level, view View) (int, Reason) {
	if wish.Name == "" {
		return 0, Reason{}
	}
	level, ok := view.Tree.LevelOf(wish.Name)
	if !ok {
		return 0, Reason{TopologyLevelUnknown, fmt.Sprintf("PodGroup %s: %s: topology level %q is not known; name one of %s, or label the nodes",
			g.key, wish.Field, wish.Name, view.Tree.LevelNames())}
	}
	return level, Reason{}
}

// request groups members into classes; index says which class each member is in.
func (p problem) request(members []*member) (req placement.Request, index []int) {
	req = placement.Request{
		Fixed: p.fixed, Required: p.required, Preferred: p.preferred, SliceSize: p.slicing.size, SliceLevel: p.slicing.level,
	}
	type kind struct {
		class  string
		within int
	}
	byKind := map[kind]int{}
	index = make([]int, len(members))
	for i, m := range members {
		of := kind{m.Class, p.slicing.within(m)}
		class, known := byKind[of]
		if !known {
			class = len(req.Classes)
			byKind[of] = class
			req.Classes = append(req.Classes, p.class(m))
			req.Classes[class].Within = of.within
		}
		req.Classes[class].Count++
		index[i] = class
	}
	return req, index
}

// class is one that holds no member yet. The index remembers what it knows of a
// class by its key; where nodes were refused, it has to ask anew.
func (p problem) class(m *member) placement.Class {
	name, refused := m.Class, p.excluded[m.Class]
	class := placement.Class{Requests: m.Requests, Key: name}
	class.Eligible = func(node int) bool { return p.view.Eligible(name, node) }
	if len(refused) > 0 {
		class.Key = ""
		class.Eligible = func(node int) bool { return !refused[p.view.Nodes[node].Name] && p.view.Eligible(name, node) }
	}
	return class
}

func (p problem) solve(members []*member) (*placement.Plan, *placement.Rejection) {
	req, _ := p.request(members)
	return p.view.Index.Solve(req)
}

// solveMost finds the most of the waiting members, at least need, that fit and make
// whole slices, and why more do not fit: members above the floor never hold it back.
// Without a plan, fits is the number of members for which there is none. Both the plan
// and the rejection are nil where there are no members that make whole slices.
func (p problem) solveMost(waiting []*member, need int) (best *placement.Plan, fits int, why *placement.Rejection) {
	steps := p.slicing.steps(waiting, need)
	if len(steps) == 0 {
		return nil, 0, nil
	}
	tooMany := len(steps) - 1
	if best, why = p.solve(waiting[:steps[tooMany]]); best != nil || tooMany == 0 {
		return best, steps[tooMany], why
	}
	best, rejection := p.solve(waiting[:steps[0]])
	if best == nil {
		return nil, steps[0], rejection
	}
	for fits+1 < tooMany {
		middle := (fits + tooMany) / 2
		if plan, rejection := p.solve(waiting[:steps[middle]]); plan != nil {
			best, fits = plan, middle
		} else {
			why, tooMany = rejection, middle
		}
	}
	return best, steps[fits], why
}

// assign turns a plan into holds.
func (p problem) assign(c *Core, members []*member, plan *placement.Plan) {
	_, index := p.request(members)
	for i, node := range plan.Assign(index) {
		c.hold(members[i], p.view.Nodes[node].Name)
	}
}

// missed takes in that a pinned node was refused: it is excluded for the
// member's class, and the members without a node are planned again around those
// that are reserved. The next attempt does the planning, at once.
func (c *Core) missed(now time.Time, e Missed) {
	m := c.members[e.UID]
	if m == nil || !m.held || m.node != e.Node {
		return
	}
	if c.doubtful(m, now) {
		return // it is tried there once more
	}
	g := c.group(m.group.key)
	g.exclude(m, e, now)
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

func (g *group) exclude(m *member, e Missed, now time.Time) {
	if g.excluded == nil {
		g.excluded = map[string]map[string]bool{}
	}
	if g.excluded[m.Class] == nil {
		g.excluded[m.Class] = map[string]bool{}
	}
	g.excluded[m.Class][e.Node] = true
	g.misses, g.missedAt = g.misses+1, now
	g.lastMiss = fmt.Sprintf("%s refused %s: %s", e.Node, m.Name, e.Why)
}

// forgive lets every node be tried again.
func (g *group) forgive() {
	g.excluded, g.misses = nil, 0
	g.changed()
}
