package core

import (
	"fmt"
	"sort"

	"lockstep.dev/lockstep/pkg/gang"
)

// Check returns what is broken in the core's own books; empty when all is well.
// Tests and the simulator call it after every step.
func (c *Core) Check() []string {
	var broken []string
	sums := ledger{}
	for uid, m := range c.members {
		switch {
		case uid != m.UID || c.groups[m.key] == nil || c.groups[m.key].members[uid] != m:
			broken = append(broken, fmt.Sprintf("%s: member and gang do not know each other", uid))
		case (m.state == gang.Waiting) != (m.node == ""):
			broken = append(broken, fmt.Sprintf("%s: state %d with node %q", m.Name, m.state, m.node))
		}
		if m.state == gang.Held {
			sums.add(m.node, m.Requests)
		}
	}
	for node := range sums {
		if !equal(sums[node], c.held[node]) {
			broken = append(broken, fmt.Sprintf("%s: the ledger holds %v, members %v", node, c.held[node], sums[node]))
		}
	}
	for node := range c.held {
		if _, ok := sums[node]; !ok {
			broken = append(broken, fmt.Sprintf("%s: the ledger holds %v for nobody", node, c.held[node]))
		}
	}
	for key, g := range c.groups {
		counts := g.counts()
		if counts.Held+counts.Reserved > 0 && counts.Placed() < g.floor() {
			broken = append(broken, fmt.Sprintf("%s: holds nodes for %d of %d members", key, counts.Placed(), g.floor()))
		}
		if g.known && counts.Reserved > 0 && counts.Ready(g.floor()) {
			broken = append(broken, fmt.Sprintf("%s: the floor is reserved and not released", key))
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
