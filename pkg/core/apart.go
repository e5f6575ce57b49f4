package core

import (
	"slices"

	"lockstep.dev/lockstep/pkg/gang"
)

// apart is what the planner has to know about a gang's members that never share a
// node with each other.
type apart struct {
	groups map[string]int   // numbers from 0
	taken  map[string][]int // by group: places of nodes that a member of it has
}

// maxApart is the number of groups that the planner tells apart. Of more, those left
// over are judged by the scheduler's filters alone.
const maxApart = 64

func (g *group) apart(view View) apart {
	a := apart{}
	for _, m := range g.members {
		for _, name := range m.Apart {
			if _, known := a.groups[name]; !known && len(a.groups) < maxApart {
				if a.groups == nil {
					a.groups, a.taken = map[string]int{}, map[string][]int{}
				}
				a.groups[name] = len(a.groups)
			}
			if node, ok := view.find(m.node); ok && m.state != gang.Waiting {
				a.taken[name] = append(a.taken[name], node)
			}
		}
	}
	return a
}

// of returns a member's groups as a set of bits, and the nodes that they keep it from.
func (a apart) of(m *member) (groups uint64, taken []int) {
	for _, name := range m.Apart {
		if number, known := a.groups[name]; known {
			groups |= 1 << number
			taken = append(taken, a.taken[name]...)
		}
	}
	slices.Sort(taken)
	return groups, slices.Compact(taken)
}
