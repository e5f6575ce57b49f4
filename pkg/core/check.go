package core

import (
	"fmt"
	"reflect"
	"slices"
	"sort"

	"lockstep.dev/lockstep/pkg/gang"
)

// Check returns what is broken in the core's own books; empty when all is well.
// Tests and the simulator call it after every step.
func (c *Core) Check() []string {
	broken := slices.Concat(c.checkMembers(), c.checkLedger(), c.checkGroups(), c.checkKept())
	sort.Strings(broken)
	return broken
}

func (c *Core) checkMembers() []string {
	var broken complaints
	for uid, m := range c.members {
		if uid != m.UID || c.groups[m.group.key] != m.group || !slices.Contains(m.group.members, m) {
			broken.add("%s: member and gang do not know each other", uid)
		}
		if (m.state == gang.Waiting) != (m.node == "") || m.held && m.state != gang.Binding && m.state != gang.Held ||
			m.state == gang.Held && !m.held || m.permitted && m.state != gang.Reserved {
			broken.add("%s: state %d with node %q, held %t, permitted %t", m.Name, m.state, m.node, m.held, m.permitted)
		}
	}
	return broken
}

func (c *Core) checkLedger() []string {
	var broken complaints
	sums := ledger{}
	for _, m := range c.members {
		if m.held {
			sums.add(m.node, m.Requests)
		}
	}
	for node := range sums {
		if !equal(sums[node], c.held[node]) {
			broken.add("%s: the ledger holds %v, members %v", node, c.held[node], sums[node])
		}
	}
	for node := range c.held {
		if _, ok := sums[node]; !ok {
			broken.add("%s: the ledger holds %v for nobody", node, c.held[node])
		}
	}
	return broken
}

func (c *Core) checkGroups() []string {
	var broken complaints
	if !slices.IsSortedFunc(c.holders, byKey) {
		broken.add("reservations are out of order")
	}
	for _, g := range c.holders {
		if g.reservation == nil || c.groups[g.key] != g || !g.wantsRoom() && !g.outlasts(&g.reservation.Reservation) {
			broken.add("%s: a reservation for a gang that does not wait for room", g.key)
		}
	}
	if !slices.IsSortedFunc(c.order, byKey) || len(c.order) != len(c.groups) {
		broken.add("%d gangs are in order of %d", len(c.order), len(c.groups))
	}
	for key, g := range c.groups {
		tally := *g.sums()
		if told := tally.absent; told != nil && *told != g.absent() {
			broken.add("%s: what it says of who is absent is old: %q, and now %q", key, *told, g.absent())
		}
		if tally.absent = nil; tally != *g.count() {
			broken.add("%s: the tally %+v is not that of the members, %+v", key, tally, *g.count())
		}
		if !slices.IsSortedFunc(g.members, byRank) {
			broken.add("%s: members are out of order", key)
		}
		if reason := g.untenable(); reason.Code != "" {
			broken.add("%s: holds nodes for %d of %d members: %s", key, g.counts().Placed(), g.floor(), reason.Message)
		}
		if g.reservation != nil && !slices.Contains(c.holders, g) {
			broken.add("%s: its reservation is not among the others", key)
		}
		if g.ready() {
			broken.add("%s: the floor is reserved and not released", key)
		}
	}
	return broken
}

// checkKept holds what is kept of gangs against their members.
func (c *Core) checkKept() []string {
	var broken complaints
	for key, g := range c.groups {
		if g.account != nil && !reflect.DeepEqual(g.account, c.reckon(g)) {
			broken.add("%s: the account %+v is not that of the members, %+v", key, *g.account, *c.reckon(g))
		}
		if g.tenancy != nil && slices.ContainsFunc(g.tenancy.pods, func(o Occupant) bool { return !c.members[o.UID].is(o) }) {
			broken.add("%s: its pods as who holds room are not its members: %+v", key, g.tenancy.pods)
		}
	}
	return broken
}

// is reports whether a pod that holds room is the member as it stands.
func (m *member) is(o Occupant) bool {
	return m != nil && (m.state == gang.Bound || m.state == gang.Binding && o.Protected) && m.Priority == o.Priority &&
		m.Started.Equal(o.Since) && equal(m.Requests, o.Requests)
}

type complaints []string

func (c *complaints) add(format string, args ...any) { *c = append(*c, fmt.Sprintf(format, args...)) }

func equal(a, b []int64) bool {
	for i := range max(len(a), len(b)) {
		var x, y int64
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return false
		}
	}
	return true
}
