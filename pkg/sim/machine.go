package sim

import (
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/topology"
)

// Machine is the cluster during a replay: what is free where.
type Machine struct {
	Index *placement.Index
	tree  *topology.Tree
	total int64 // GPUs
	free  int64
	whole int // nodes with GPUs all of which are free
}

func newMachine(nodes []cluster.Node, levels []topology.Level) *Machine {
	tree := topology.Build(levels, nodes)
	m := &Machine{Index: placement.NewIndex(nodes, tree), tree: tree}
	for i := range nodes {
		m.total += nodes[i].Allocatable.Get(gpus)
		m.free += nodes[i].Free.Get(gpus)
		m.whole += wholeNode(&nodes[i])
	}
	return m
}

// wholeNode is 1 for a node all of whose GPUs are free.
func wholeNode(n *cluster.Node) int {
	if all := n.Allocatable.Get(gpus); all > 0 && n.Free.Get(gpus) == all {
		return 1
	}
	return 0
}

// book takes (sign 1) or gives back (-1) what a plan's members ask for.
func (m *Machine) book(req placement.Request, plan *placement.Plan, sign int64) {
	for _, share := range plan.Shares {
		n := m.Index.Node(share.Node)
		m.whole -= wholeNode(&n)
		m.free -= n.Free.Get(gpus)
		n.Free = n.Free.Clone()
		for c, count := range share.Counts {
			for i, amount := range req.Classes[c].Requests {
				n.Free = n.Free.Set(i, n.Free.Get(i)-sign*amount*int64(count))
			}
		}
		m.whole += wholeNode(&n)
		m.free += n.Free.Get(gpus)
		m.Index.Update(share.Node, n)
	}
}
