package core

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
)

// contend looks for room for a gang whose floor does not fit on what is free: by
// evicting who is less important, or by waiting, with a reservation, for who ends
// next. What it says completes the reason why the gang waits.
func (c *Core) contend(now time.Time, g *group, p problem, members []*member, rejection *placement.Rejection) string {
	// Nobody goes, and nothing is kept free, for members beyond the floor.
	if rejection.Kind != placement.DoesNotFit || !g.wantsRoom() {
		c.unreserve(g)
		return ""
	}
	f := c.contest(now, g, p, members)
	if p.view.Others == nil {
		return f.blocked()
	}
	f.tenants, f.leaving = c.tenants(now, p.view)
	takeBack := f.free(f.leaving)
	defer takeBack()
	said := []string{f.blocked()}
	for _, way := range []func() (string, bool){f.wait, f.preempt, f.share, f.drain} {
		text, found := way()
		if said = append(said, text); found {
			return sentence(said)
		}
	}
	if !g.replacing() {
		c.unreserve(g)
	}
	return sentence(said)
}

// contends reports whether others may have to go for the gang: not before all nodes were tried
// that the filters may let through.
func (g *group) contends() bool {
	return !g.roaming && (g.misses == 0 && len(g.trial.ruledOut) == 0 || g.trial.rests > 0)
}

// sentence joins what there is to say.
func sentence(parts []string) string {
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), "; ")
}

// blocked says for whom the room is reserved in which the gang would fit.
func (f *contest) blocked() string {
	var freed []placement.Freed
	var holders []string
	for _, holder := range f.core.holders {
		if holder == f.gang || holder.admits(f.core, f.now, f.core.claim(f.gang)) {
			continue
		}
		holders = append(holders, holder.key.String())
		for _, room := range holder.reservation.Room {
			if node, ok := f.view.find(room.Node); ok {
				freed = append(freed, placement.Freed{Node: node, Amounts: room.Amounts})
			}
		}
	}
	if len(holders) == 0 {
		return ""
	}
	if plan, _ := f.view.Index.SolveIf(f.request, freed); plan == nil {
		return ""
	}
	return "it would fit but for room that is reserved for " + strings.Join(holders, " and ")
}

// contest is one gang's look at who holds the room that it needs. While it lasts the
// index counts the room of pods that are on their way out as free.
type contest struct {
	core    *Core
	now     time.Time
	gang    *group
	view    View
	request placement.Request
	tenants []*tenant
	leaving []Occupant
	rights  rights
	due     Due     // what the gang is taken to have waited for already
	lifts   bool    // a cap keeps the gang out
	first   []taken // those who go for that, whose room counts as free
	spent   int     // pods of these that budgets protect
}

// contest is about the place of members.
func (c *Core) contest(now time.Time, g *group, p problem, members []*member) *contest {
	f := &contest{core: c, now: now, gang: g, view: p.view}
	f.request, _ = p.request(members)
	return f
}

// free counts the room of pods as free, until it is taken back.
func (f *contest) free(pods []Occupant) (takeBack func()) {
	left := ledger{}
	for _, o := range pods {
		left.add(f.name(o.Node), o.Requests)
	}
	return left.putOn(f.view)
}

func (f *contest) name(node int) string { return f.view.Nodes[node].Name }

// wait keeps room that was preempted, or that a member leaves, while it comes free; nobody
// else is evicted meanwhile.
func (f *contest) wait() (said string, waits bool) {
	r := f.gang.reservation
	if r == nil || r.Kind == Draining || !f.covers(r.Room) || !f.tenable(r.Room) {
		return "", false
	}
	ending := 0
	for _, o := range f.leaving {
		if r.on(f.name(o.Node)) != nil {
			ending++
		}
	}
	if ending == 0 {
		return "", false
	}
	if want, have := f.asked(), amounts(r.Room); want.Fits(have) && !equal(want, have) { // fewer will do by now
		if plan, _ := f.view.Index.Solve(f.request); plan != nil {
			return f.soon(plan), true
		}
	}
	return fmt.Sprintf("room is reserved for it on %s, where %s ending", count(len(r.Room), "node"), are(ending, "pod")), true
}

// covers reports whether what is free, or will be when those that leave have left,
// is what was promised.
func (f *contest) covers(room []Room) bool {
	for _, part := range room {
		node, ok := f.view.find(part.Node)
		if !ok || !part.Amounts.Fits(f.view.Index.Node(node).Free) {
			return false
		}
	}
	return true
}

// asked is what the gang asks for now.
func (f *contest) asked() (sum cluster.Resources) {
	for _, class := range f.request.Classes {
		for range class.Count {
			sum = sum.Add(class.Requests)
		}
	}
	return sum
}

// amounts is the sum of what is on all nodes.
func amounts(room []Room) (sum cluster.Resources) {
	for _, part := range room {
		sum = sum.Add(part.Amounts)
	}
	return sum
}

// room is what a plan takes, by node.
func (f *contest) room(plan *placement.Plan) []Room {
	list := make([]Room, 0, len(plan.Shares))
	for _, share := range plan.Shares {
		room := Room{Node: f.name(share.Node)}
		for class, n := range share.Counts {
			for range n {
				room.Amounts = room.Amounts.Add(f.request.Classes[class].Requests)
			}
		}
		list = append(list, room)
	}
	slices.SortFunc(list, func(a, b Room) int { return strings.Compare(a.Node, b.Node) })
	return list
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// are writes a number of things with their verb.
func are(n int, thing string) string {
	if n == 1 {
		return "1 " + thing + " is"
	}
	return count(n, thing) + " are"
}
