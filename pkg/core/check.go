package core

import (
	"fmt"
	"slices"
	"sort"

	"lockstep.dev/lockstep/pkg/gang"
)

// Check returns what is broken in the core's own books; empty when all is well.
// Tests and the simulator call it after every step.
func (c *Core) Check() []string {
	var broken []string
	complain := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	sums := ledger{}
	for uid, m := range c.members {
		if uid != m.UID || c.groups[m.group.key] != m.group || !slices.Contains(m.group.members, m) {
			complain("%s: member and gang do not know each other", uid)
		}
		if (m.state == gang.Waiting) != (m.node == "") || m.held && m.state != gang.Binding && m.state != gang.Held ||
			m.state == gang.Held && !m.held || m.permitted && m.state != gang.Reserved {
			complain("%s: state %d with node %q, held %t, permitted %t", m.Name, m.state, m.node, m.held, m.permitted)
		}
		if m.held {
			sums.add(m.node, m.Requests)
		}
	}
	for node := range sums {
		if !equal(sums[node], c.held[node]) {
			complain("%s: the ledger holds %v, members %v", node, c.held[node], sums[node])
		}
	}
	for node := range c.held {
		if _, ok := sums[node]; !ok {
			complain("%s: the ledger holds %v for nobody", node, c.held[node])
		}
	}
	for key, g := range c.groups {
		if *g.sums() != *g.count() {
			complain("%s: the tally %+v is not that of the members, %+v", key, *g.sums(), *g.count())
		}
		if !slices.IsSortedFunc(g.members, byRank) {
			complain("%s: members are out of order", key)
		}
		if reason := g.untenable(); reason.Code != "" {
			complain("%s: holds nodes for %d of %d members: %s", key, g.counts().Placed(), g.floor(), reason.Message)
		}
		if g.ready() {
			complain("%s: the floor is reserved and not released", key)
		}
	}
	sort.Strings(broken)
	return broken
}

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
