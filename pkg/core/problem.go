package core

import (
	"fmt"
	"slices"

	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/topology"
)

// problem is a gang's wish in the planner's terms, members apart.
type problem struct {
	view      View
	fixed     []int
	required  int
	preferred int
	slicing   slicing
	excluded  map[string]map[string]bool // by class: nodes that were refused
	ruledOut  map[string]bool            // domains of the required level, by path
	full      map[string]bool            // kinds of node of which the queue may not hold so much
	fullFor   func(members []*member) map[string]bool
	kind      func(node string) string
	apart     apart
}

func (g *group) problem(view View) (problem, Reason) {
	p := problem{view: view, excluded: g.excluded, ruledOut: g.trial.ruledOut, apart: g.apart(view)}
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
		} else if p.required > 0 || p.slicing.size > 1 {
			return p, Reason{NodeLost, fmt.Sprintf("%s is on node %s, which is gone; the others have to be near it, and wait until its pod is gone as well", m.Name, m.node)}
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
	class.Apart, class.Excluded = p.apart.of(m)
	class.Eligible = func(node int) bool { return p.view.Eligible(name, node) }
	if len(refused)+len(p.ruledOut)+len(p.full) > 0 {
		class.Key = ""
		class.Eligible = func(node int) bool {
			return !refused[p.view.Nodes[node].Name] && !p.ruledOut[p.domain(node, p.required).Path] && !p.isFull(node) && p.view.Eligible(name, node)
		}
	}
	return class
}

// isFull reports whether a node is of a kind that the gang's queue may hold no more of.
func (p problem) isFull(node int) bool {
	return len(p.full) > 0 && p.full[p.kind(p.view.Nodes[node].Name)]
}

// portsTaken is the number of nodes that some member may not run on only because a host port
// that it wants is in use there.
func (p problem) portsTaken(members []*member) int {
	if p.view.PortsTaken == nil {
		return 0
	}
	var classes []string
	for _, m := range members {
		if !slices.Contains(classes, m.Class) {
			classes = append(classes, m.Class)
		}
	}
	nodes := 0
	for node := range p.view.Nodes {
		if slices.ContainsFunc(classes, func(class string) bool { return p.view.PortsTaken(class, node) }) {
			nodes++
		}
	}
	return nodes
}

// capped reports whether there are nodes that the members could go to, but for the caps of their queue.
func (p problem) capped(members []*member) bool {
	return slices.ContainsFunc(members, func(m *member) bool {
		for node := range p.view.Nodes {
			if p.isFull(node) && p.view.Eligible(m.Class, node) {
				return true
			}
		}
		return false
	})
}

// domain is the one of a level that a node stands in.
func (p problem) domain(node, level int) topology.Domain {
	tree := p.view.Tree
	return tree.Domains[tree.Ancestor(tree.Leaf(node), level)]
}

func (p problem) solve(members []*member) (*placement.Plan, *placement.Rejection) {
	p.full = p.fullFor(members)
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
