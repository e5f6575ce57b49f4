package core

import (
	"cmp"
	"time"

	"lockstep.dev/lockstep/pkg/gang"
)

// move brings a member to another state.
func (m *member) move(state gang.State, node string) {
	m.group.without(m)
	m.state, m.node, m.permitted, m.roams, m.doubted, m.outdated, m.stopped = state, node, false, false, time.Time{}, false, ""
	m.group.with(m)
	m.group.account, m.group.tenancy = nil, nil
}

// without takes a member out of the tally as it stands, with puts it in: a gang of a
// thousand is not counted anew for each of its members.
func (g *group) without(m *member) {
	t := g.tally
	switch {
	case t == nil:
	case m.state != gang.Waiting:
		*t.in(m.state)--
		if m.permitted {
			t.permitted--
		}
	case m.barred != "":
	case m.roams || m.Beyond != "" || m.stopped != "":
		g.tally = nil
	default:
		if t.counts.Waiting--; t.leader == m {
			t.leader = g.waitsAfter(m)
		}
	}
}

func (g *group) with(m *member) {
	t := g.tally
	switch {
	case t == nil:
	case m.state != gang.Waiting:
		*t.in(m.state)++
	case m.barred != "":
	case m.Beyond != "":
		g.tally = nil
	default:
		if t.counts.Waiting++; t.leader == nil || byRank(m, t.leader) < 0 {
			t.leader = m
		}
	}
}

// in is the number of members in a state.
func (t *tally) in(state gang.State) *int {
	switch state {
	case gang.Waiting:
		return &t.counts.Waiting
	case gang.Held:
		return &t.counts.Held
	case gang.Reserved:
		return &t.counts.Reserved
	case gang.Binding:
		return &t.counts.Binding
	default:
		return &t.counts.Bound
	}
}

// waitsAfter is the next member in rank order that waits; nil if none does.
func (g *group) waitsAfter(m *member) *member {
	for _, next := range g.members[g.rank(m)+1:] {
		if next.state == gang.Waiting && next.barred == "" && next.stopped == "" {
			return next
		}
	}
	return nil
}

// tally is what the core asks of a gang again and again.
type tally struct {
	counts    gang.Counts // without the finished
	permitted int         // of the reserved
	leader    *member     // the first that waits
	odd       *member     // the first whose priority is not the first member's
	roams     int         // of those that wait
	beyond    string      // a constraint of one that waits which the planner cannot judge
	stopped   *member     // the first of those that wait and cannot be given a node
	stops     int         // how many those are
	absent    *string     // who is missing or does not count; nil since it was not asked
}

func (g *group) sums() *tally {
	if g.tally == nil {
		g.tally = g.count()
	}
	return g.tally
}

func (g *group) count() *tally {
	t := &tally{}
	for _, m := range g.members {
		if t.odd == nil && m.Priority != g.members[0].Priority {
			t.odd = m
		}
		if m.state == gang.Waiting && m.barred != "" {
			continue
		}
		if m.state == gang.Waiting && m.stopped != "" {
			t.stopped = cmp.Or(t.stopped, m)
			t.stops++
			continue
		}
		*t.in(m.state)++
		switch m.state {
		case gang.Waiting:
			t.beyond = cmp.Or(t.beyond, m.Beyond)
			if m.roams {
				t.roams++
			}
			if t.leader == nil {
				t.leader = m
			}
		case gang.Reserved:
			if m.permitted {
				t.permitted++
			}
		case gang.Held, gang.Binding, gang.Bound:
		}
	}
	return t
}
