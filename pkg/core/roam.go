package core

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/gang"
)

// A gang roams when the planner cannot judge all of its constraints, or when the
// nodes that it chose were refused. Then the scheduler's own filters choose a node
// for one member after the other, in rank order, and the gang is bound when its
// floor has places. The planner still says what cannot fit, which domain of a
// required level is tried, and where members should be. One gang roams at a time,
// so that two cannot wait for each other's nodes.

// trial is how far a gang has got in having its nodes chosen by the filters.
type trial struct {
	begun      bool            // planning has led nowhere
	domain     string          // path of the domain of the required level that is tried
	ruledOut   map[string]bool // those that were tried
	first      string          // node of the first member that settled, where no level is required
	firsts     []string        // those from where the others found no place
	stale      bool            // since they were tried it did not fit at all, so the room is another
	rests      int             // how often all was refused in a row
	again      int             // how often nodes were tried again beside a reservation
	since      time.Time       // the gang rests since then
	until      time.Time       // and till then
	attributes uint64          // of the nodes, when the first member was tried last
	epoch      uint64          // of their room
}

// maxFirsts is how many places for the first member are tried before a gang that
// requires no level rests.
const maxFirsts = 16

// soonest is the first rest when room is given back meanwhile; it grows as the others.
const soonest = 2 * time.Second

// rests reports whether the gang is not worth trying yet: all was refused not long
// ago, and no node has changed since. Room that was given back makes the rest shorter.
func (g *group) rests(now time.Time, view View) bool {
	t := &g.trial
	switch {
	case t.until.IsZero():
		return false
	case view.Attributes != t.attributes:
		*t = trial{}
	case now.Before(t.until):
		if sooner := t.since.Add(soonest << (t.rests - 1)); view.Epoch != t.epoch && sooner.Before(t.until) {
			t.until = sooner
		}
		if now.Before(t.until) {
			return true
		}
	}
	*t = trial{rests: t.rests}
	g.forgive()
	return false
}

// rest is called when all was refused. The rests grow as long as nothing changes.
func (c *Core) rest(now time.Time, g *group) string {
	t := &g.trial
	long := min(c.opts.WakeAfter<<min(t.rests, 16), c.opts.MaxRest)
	t.rests, t.since, t.until = min(t.rests+1, 16), now, now.Add(long)
	// It tells the longest rest, so that the reason does not change with each.
	return fmt.Sprintf("; it is tried again within %s, sooner when pods end, at once when nodes change", c.opts.MaxRest)
}

// begin takes in the nodes as they are when the first member is tried. What was tried while
// they were otherwise is forgotten.
func (t *trial) begin(view View) {
	if t.attributes != view.Attributes {
		*t = trial{begun: t.begun, rests: t.rests, attributes: view.Attributes}
	}
}

// anew forgets the places that were tried for the first member.
func (t *trial) anew() { t.first, t.firsts, t.stale = "", nil, false }

// roam answers an attempt of a member of a gang that roams.
func (c *Core) roam(now time.Time, g *group, m *member, view View) {
	if g.misses > 0 {
		g.trial.begun = true
		g.forgive()
	}
	if !g.roaming && c.roaming != nil {
		c.emit(Refuse{m.UID, c.afterAnother(g, view)})
		return
	}
	if g.stillRefused(c, now, view) {
		c.emit(Refuse{m.UID, g.refusal.reason})
		return
	}
	if !g.roaming {
		g.trial.begin(view)
		for _, held := range g.ranked(gang.Held) {
			c.drop(held)
		}
	}
	g.replanning, g.refusal = false, nil
	g.trial.epoch = view.Epoch
	p := c.propose(now, g, view)
	if p.plan == nil && g.roaming { // as its members have settled now
		c.deadEnd(now, g, p.reason)
		c.emit(Refuse{m.UID, g.refusal.reason})
		return
	}
	if p.plan == nil {
		if len(g.trial.ruledOut) > 0 {
			p.reason.Message += "; " + g.lastMiss + c.rest(now, g)
		}
		g.trial.stale = len(g.trial.firsts) > 0
		c.refuseFor(now, g, p)
		c.emit(Refuse{m.UID, p.reason})
		return
	}
	at := slices.Index(p.waiting[:p.fits], m)
	if at < 0 { // others come first
		g.refusal = &refusal{reason: p.reason, rejection: p.rejection}
		c.emit(Refuse{m.UID, p.reason})
		c.activateLeader(g)
		return
	}
	node := p.nodes()[at]
	allowed := p.allowed(m, node)
	if p.required == 0 && p.slicing.of[m] == nil && !g.roaming && len(g.trial.firsts) > 0 {
		if others := p.elsewhere(g.trial.firsts); len(others) > 0 || !g.trial.stale {
			allowed = others
		} else {
			g.trial.anew()
		}
	}
	if allowed != nil && len(allowed) == 0 { // all places were tried
		c.nowhere(now, m, "no other place is left")
		c.emit(Refuse{m.UID, g.refusal.reason})
		return
	}
	m.roams, g.tally = true, nil
	c.emit(Roam{UID: m.UID, Near: view.Nodes[node].Name, Nodes: allowed})
	if p.required > 0 {
		g.trial.domain = p.domain(node, p.required).Path
	}
	if others := slices.Delete(slices.Clone(p.waiting[:p.fits]), at, at+1); !g.roaming && len(others) > 0 {
		c.emit(Activate{UIDs: uids(others)})
	}
	if g.counts().Placed() < g.floor() {
		g.roaming, c.roaming, c.ahead = true, g, p.ahead(m, g.floor()-g.counts().Placed()-1)
	}
}

// afterAnother refuses a gang while another is placed pod by pod.
func (c *Core) afterAnother(g *group, view View) Reason {
	reason := Reason{OneByOne, fmt.Sprintf("gang %s is being placed pod by pod, and one gang is at a time", c.roaming.key)}
	told := g.why
	c.refuse(g, view, reason)
	if told.Code != "" {
		g.why = told // it lasts for a moment, and comes again and again
	}
	return reason
}

// ahead is room for the first n by rank but one: where the plan has them, nobody else goes
// while they wait for their turn.
func (p proposal) ahead(but *member, n int) ledger {
	room := ledger{}
	for i, node := range p.nodes() {
		if m := p.waiting[i]; m != but && n > 0 {
			room.add(p.view.Nodes[node].Name, m.Requests)
			n--
		}
	}
	return room
}

// allowed are the nodes that a member may go to, given where the plan puts it: those
// of its domain of the required level and of the slice level; nil means all.
func (p proposal) allowed(m *member, node int) []string {
	level := p.required
	if p.slicing.of[m] != nil {
		level = max(level, p.slicing.level)
	}
	if level == 0 && len(p.full) == 0 {
		return nil
	}
	tree := p.view.Tree
	within := tree.Ancestor(tree.Leaf(node), level)
	var names []string
	for i := range p.view.Nodes {
		if tree.Ancestor(tree.Leaf(i), level) == within && !p.isFull(i) {
			names = append(names, p.view.Nodes[i].Name)
		}
	}
	return names
}

// elsewhere are the nodes that are not in the lowest domain of one of the given nodes;
// all other nodes where there are no domains. It is never nil.
func (p proposal) elsewhere(nodes []string) []string {
	tree, names := p.view.Tree, []string{}
	level := cmp.Or(len(tree.Levels()), tree.Hosts())
	tried := map[int]bool{}
	for _, name := range nodes {
		if i, ok := p.view.find(name); ok {
			tried[tree.Ancestor(tree.Leaf(i), level)] = true
		}
	}
	for i := range p.view.Nodes {
		if !tried[tree.Ancestor(tree.Leaf(i), level)] && !p.isFull(i) {
			names = append(names, p.view.Nodes[i].Name)
		}
	}
	return names
}

// settledOn: the scheduler has chosen a node for a member that roams.
func (c *Core) settledOn(m *member, node string) {
	g := c.group(m.group.key)
	if g.counts().Placed() == 0 && g.trial.domain == "" {
		g.trial.first = node
	}
	m.move(gang.Reserved, node)
	if g.counts().Placed() >= g.floor() {
		c.stopRoaming(g)
	}
}

// nowhere: no node that a roaming member may go to is right for it.
func (c *Core) nowhere(now time.Time, m *member, why string) {
	g := c.group(m.group.key)
	m.roams, g.tally = false, nil
	if n := len(g.trial.firsts); n > 0 && g.counts().Placed() == 0 {
		g.lastMiss = fmt.Sprintf("%s (%s was tried in %d places)", g.lastMiss, m.Name, n)
	} else {
		g.lastMiss = fmt.Sprintf("no node is right for %s: %s", m.Name, why)
	}
	c.deadEnd(now, g, Reason{NodeRefused, g.lastMiss})
}

// deadEnd: a member has no place beside those that have settled. If that concerns the
// floor, the gang gives back everything and tries the next domain of the level that
// it requires; without such a level, another place for its first member. When there
// is no other it rests, unless some were tried when the room was another.
func (c *Core) deadEnd(now time.Time, g *group, reason Reason) {
	short := g.counts().Placed() < g.floor()
	another := true
	switch {
	case short && g.trial.domain != "":
		if g.trial.ruledOut == nil {
			g.trial.ruledOut = map[string]bool{}
		}
		g.trial.ruledOut[g.trial.domain] = true
		g.lastMiss = reason.Message
	case short && g.trial.first != "" && len(g.trial.firsts) < maxFirsts:
		g.trial.firsts = append(g.trial.firsts, g.trial.first)
		g.trial.first = ""
		g.lastMiss = reason.Message
	case short && g.trial.stale:
		g.trial.anew()
	default:
		another = false
		reason.Message += c.rest(now, g)
	}
	if short {
		g.trial.begun = true // it may have been forgotten since: another member has come
		g.why = reason
		g.vain.refused(now)
		c.giveBack(g, reason)
	}
	g.refusal = &refusal{reason: reason, stands: !another, coreEpoch: c.epoch}
	if another {
		c.activateLeader(g)
	}
}

// stopRoaming lets other gangs have their turn.
func (c *Core) stopRoaming(g *group) {
	g.roaming = false
	if c.roaming == g {
		c.roaming, c.ahead = nil, nil
		c.epoch++
	}
}
