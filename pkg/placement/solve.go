package placement

import (
	"sort"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// Above this many states a request is too varied for the exact method.
const maxStates = 1 << 13

// Solve finds a place for every member of the request, or says why there is
// none; exactly one of the results is not nil. Nodes are sorted by name, the
// tree was built from them.
//
// Nodes that pods should avoid are left out at first and taken in when the gang
// does not fit without them.
func Solve(req Request, nodes []cluster.Node, tree *topology.Tree) (*Plan, *Rejection) {
	solve := solveExact
	if stateCount(req.Classes, maxStates) > maxStates {
		solve = solveGreedy
	}
	encouraged := func(node int) bool { return !nodes[node].Discouraged }
	if anyDiscouraged(nodes) {
		if plan := solve(req, nodes, tree, encouraged); plan != nil {
			return plan, nil
		}
	}
	if plan := solve(req, nodes, tree, nil); plan != nil {
		return plan, nil
	}
	return nil, reject(req, nodes, tree)
}

func anyDiscouraged(nodes []cluster.Node) bool {
	for i := range nodes {
		if nodes[i].Discouraged {
			return true
		}
	}
	return false
}

// solveExact looks for the lowest level at which some domain holds the gang and
// takes the cheapest such domain. With domains counted widest level first, every
// optimum lies in such a domain.
func solveExact(req Request, nodes []cluster.Node, tree *topology.Tree, allowed func(int) bool) *Plan {
	s := newSolver(req, nodes, tree, allowed)
	full := s.states.full()
	for level := tree.Hosts(); level >= req.Required; level-- {
		best := -1
		for _, d := range candidates(req, tree, level) {
			if !s.mayHold(d) || !s.holds(d) {
				continue
			}
			if best < 0 || s.cheaper(d, best, full) {
				best = d
			}
		}
		if best >= 0 {
			plan := &Plan{Domain: best, Exact: true}
			s.shares(best, full, func(node, state int) {
				share := Share{Node: node, Counts: make([]int, len(req.Classes))}
				for c, v := range s.states.vector(state) {
					share.Counts[c] = int(v)
				}
				plan.Shares = append(plan.Shares, share)
			})
			finish(plan, req, tree)
			return plan
		}
	}
	return nil
}

// holds reports whether the whole gang fits in the domain.
func (s *solver) holds(d int) bool {
	reach := s.table(d).reach
	return int(reach[len(reach)-1]) == s.states.full()
}

func (s *solver) cheaper(a, b, state int) bool {
	ta, tb := s.table(a), s.table(b)
	if ta.cost[state] != tb.cost[state] {
		return ta.cost[state] < tb.cost[state]
	}
	return ta.left[state] < tb.left[state]
}

// mayHold is a cheap necessary condition: every class by itself has enough
// slots in the domain.
func (s *solver) mayHold(d int) bool {
	for c := range s.req.Classes {
		if classSlots(s.req.Classes[c], s.nodes, s.tree, d, s.allowed) < s.req.Classes[c].Count {
			return false
		}
	}
	return true
}

// classSlots counts the members of one class that fit in a domain when nothing
// else is placed there, at most the class's count.
func classSlots(class Class, nodes []cluster.Node, tree *topology.Tree, d int, allowed func(int) bool) int {
	slots := 0
	eachNode(tree, d, func(node int) bool {
		if (allowed == nil || allowed(node)) && (class.Eligible == nil || class.Eligible(node)) {
			slots += class.Requests.Slots(nodes[node].Free, class.Count-slots)
		}
		return slots < class.Count
	})
	return slots
}

// eachNode visits the nodes of a domain in the tree's order until visit says stop.
func eachNode(tree *topology.Tree, d int, visit func(node int) bool) bool {
	if node := tree.Domains[d].Node; node >= 0 {
		return visit(node)
	}
	for _, child := range tree.Domains[d].Children {
		if !eachNode(tree, child, visit) {
			return false
		}
	}
	return true
}

// candidates lists the domains of a level that may hold the gang: those that
// hold the fixed members too and, where the gang requires a level, stand in a
// domain of that level that is known by its label.
func candidates(req Request, tree *topology.Tree, level int) []int {
	common := -1
	for _, node := range req.Fixed {
		if leaf := tree.Leaf(node); common < 0 {
			common = leaf
		} else {
			common = tree.Common(common, leaf)
		}
	}
	var out []int
	for d := range tree.Domains {
		if tree.Domains[d].Level != level {
			continue
		}
		if common >= 0 && tree.Common(d, common) != d {
			continue
		}
		if req.Required > 0 && !tree.Domains[tree.Ancestor(d, req.Required)].Known {
			continue
		}
		out = append(out, d)
	}
	return out
}

// finish orders the shares for ranks and counts the domains in use.
func finish(plan *Plan, req Request, tree *topology.Tree) {
	members := make([]int, len(tree.Domains))
	use := func(node, n int) {
		for d := tree.Leaf(node); d >= 0; d = tree.Domains[d].Parent {
			members[d] += n
		}
	}
	for _, share := range plan.Shares {
		n := 0
		for _, v := range share.Counts {
			n += v
		}
		use(share.Node, n)
	}
	for _, node := range req.Fixed {
		use(node, 1)
	}
	plan.Used = make([]int, tree.Hosts()+1)
	for d, n := range members {
		if n > 0 {
			plan.Used[tree.Domains[d].Level]++
		}
	}
	sort.SliceStable(plan.Shares, func(i, j int) bool {
		return before(tree, members, tree.Leaf(plan.Shares[i].Node), tree.Leaf(plan.Shares[j].Node))
	})
}

// before orders two leaves depth first: domain by domain, the fullest first,
// then by path.
func before(tree *topology.Tree, members []int, a, b int) bool {
	for level := 1; level <= tree.Hosts(); level++ {
		da, db := tree.Ancestor(a, level), tree.Ancestor(b, level)
		if da == db {
			continue
		}
		if members[da] != members[db] {
			return members[da] > members[db]
		}
		return tree.Domains[da].Path < tree.Domains[db].Path
	}
	return false
}
