package core

import (
	"fmt"

	"lockstep.dev/lockstep/pkg/gang"
)

// slicing is how a gang's members are cut into slices: those of one class, in rank
// order, into groups of size, each of which has to lie in one domain of the level. A
// class with fewer members than that is one group.
type slicing struct {
	size, level int
	of          map[*member]*slice
}

// slice is one group of members.
type slice struct {
	first, last *member
	whole       int // members that make it up; what is over where a class does not divide has fewer
	members     int
	placed      int // have a node
	domain      int // that holds the placed ones; 0 where none is placed
	apart       int // another one that holds some; 0 where all are in one
}

// slicingOf cuts the gang's members; the zero slicing where it asks for none.
func (g *group) slicingOf(view View, level int) slicing {
	s := slicing{size: g.spec.Slices.Size, level: level}
	if s.size <= 1 {
		return slicing{}
	}
	s.of = make(map[*member]*slice, len(g.members))
	open, totals := map[string]*slice{}, map[string]int{}
	for _, m := range g.members {
		totals[m.Class]++
	}
	for _, m := range g.members {
		part := open[m.Class]
		if part == nil || part.members == s.size {
			part = &slice{first: m, whole: min(s.size, totals[m.Class])}
			open[m.Class] = part
		}
		part.last, part.members = m, part.members+1
		part.place(m, view, level)
		s.of[m] = part
	}
	return s
}

// place takes in where a member is.
func (p *slice) place(m *member, view View, level int) {
	node, ok := view.find(m.node)
	if m.state == gang.Waiting || !ok {
		return
	}
	p.placed++
	domain := view.Tree.Ancestor(view.Tree.Leaf(node), level)
	switch {
	case p.domain == 0:
		p.domain = domain
	case p.domain != domain:
		p.apart = domain
	}
}

// within is the domain in which a member completes its slice; 0 where the slice is
// free to go anywhere, or is none.
func (s slicing) within(m *member) int {
	if part := s.of[m]; part != nil {
		return part.domain
	}
	return 0
}

// steps lists how many of the waiting members, at least need, may be placed
// without one slice being started and not completed. They stand in rank order.
func (s slicing) steps(waiting []*member, need int) []int {
	var steps []int
	if s.of == nil {
		for n := need; n <= len(waiting); n++ {
			steps = append(steps, n)
		}
		return steps
	}
	taken, open := map[*slice]int{}, 0
	for i, m := range waiting {
		part := s.of[m]
		if taken[part] == 0 {
			open++
		}
		if taken[part]++; part.placed+taken[part] == part.whole && part.apart == 0 {
			open--
		}
		if open == 0 && i+1 >= need {
			steps = append(steps, i+1)
		}
	}
	return steps
}

// incomplete says why the given members, which wait, cannot make up whole slices.
func (s slicing) incomplete(g *group, view View, waiting []*member) Reason {
	for _, m := range waiting {
		part := s.of[m]
		names := fmt.Sprintf("the slice of %d pods from %s to %s", part.whole, part.first.Name, part.last.Name)
		if part.apart != 0 {
			return Reason{SliceApart, fmt.Sprintf("%s lies in %s and in %s; delete its pods in one of them so that it can be completed in the other",
				names, view.Tree.Domains[part.domain].Path, view.Tree.Domains[part.apart].Path)}
		}
		if part.members < part.whole {
			return Reason{SlicesUneven, fmt.Sprintf("PodGroup %s: %s: %d pods like %s cannot be cut into slices of %d, which leaves %d over; "+
				"make the size divide their number", g.key, g.spec.Slices.Field, s.alike(g, m), m.Name, s.size, part.members)}
		}
	}
	return Reason{SlicesUneven, "a slice lacks members that may be scheduled"}
}

// alike is the number of members of one class.
func (s slicing) alike(g *group, m *member) int {
	return len(g.where(func(other *member) bool { return other.Class == m.Class }))
}
