package placement

import "lockstep.dev/lockstep/pkg/cluster"

// Freed is an amount that would become free on a node.
type Freed struct {
	Node    int
	Amounts cluster.Resources
}

// SolveIf is Solve on a cluster on which the given amounts are free as well: what
// would be if those who hold them were gone. Nodes may be named more than once.
// The index is afterwards as it was; nothing is copied but the amounts of the
// nodes named.
func (x *Index) SolveIf(req Request, freed []Freed) (*Plan, *Rejection) {
	if r := x.invalid(req); r != nil {
		return nil, r
	}
	req = x.confined(req)
	before := map[int]cluster.Resources{}
	for _, f := range freed {
		if before[f.Node] == nil {
			before[f.Node] = append(cluster.Resources{}, x.nodes[f.Node].Free...)
		}
		x.suppose(f.Node, x.nodes[f.Node].Free.Clone().Add(f.Amounts))
	}
	defer func() {
		for node, free := range before {
			x.suppose(node, free)
		}
		x.trim()
	}()
	// Verdicts are not remembered: they hold for a cluster that is not there.
	if plan := x.plan(req); plan != nil {
		return plan, nil
	}
	return nil, x.explain(req, x.kindOf(req, x.rejectionKey(req)))
}

// suppose sets what is free on a node for a while.
func (x *Index) suppose(node int, free cluster.Resources) {
	n := &x.nodes[node]
	x.free.add(x.tree, x.tree.Leaf(node), n.Free, -1)
	x.free.add(x.tree, x.tree.Leaf(node), free, 1)
	n.Free = append(n.Free[:0], free...)
	x.journal.add(node)
}

// Candidates lists the domains of a level that may hold the request's whole gang as
// far as levels go: they hold the fixed members too, and stand in a domain of the
// required level that is known by its label.
func (x *Index) Candidates(req Request, level int) []int {
	return candidates(req, x.tree, commonOf(x.tree, req.Fixed), level)
}
