package sim

import (
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/topology"
)

// Machine is the cluster during a replay: what is free where.
type Machine struct {
	Index *placement.Index
	nodes []cluster.Node // the same, by name
	tree  *topology.Tree
	total int64 // GPUs
	free  int64
	whole int   // nodes with GPUs all of which are free
	count []int // nodes, by the number of GPUs that are free
}

func newMachine(nodes []cluster.Node, levels []topology.Level) *Machine {
	tree := topology.Build(levels, nodes)
	m := &Machine{Index: placement.NewIndex(nodes, tree), tree: tree}
	for _, n := range nodes {
		n.Free = n.Free.Clone()
		m.nodes = append(m.nodes, n)
		m.total += n.Allocatable.Get(gpus)
		m.free += n.Free.Get(gpus)
		m.whole += wholeNode(&n)
		m.counted(&n, 1)
	}
	return m
}

// counted adds to the number of nodes that have as many GPUs free as this one.
func (m *Machine) counted(n *cluster.Node, by int) {
	free := int(max(0, n.Free.Get(gpus)))
	for len(m.count) <= free {
		m.count = append(m.count, 0)
	}
	m.count[free] += by
}

// slots is the number of pods with so many GPUs that find them free on a node.
func (m *Machine) slots(each int) int {
	sum := 0
	for free, nodes := range m.count {
		sum += nodes * (free / each)
	}
	return sum
}

// wholeNode is 1 for a node all of whose GPUs are free.
func wholeNode(n *cluster.Node) int {
	if all := n.Allocatable.Get(gpus); all > 0 && n.Free.Get(gpus) == all {
		return 1
	}
	return 0
}

// take books one member on a node.
func (m *Machine) take(node int, requests cluster.Resources) {
	m.book(node, requests, cluster.Resources.Sub)
}

// give takes the booking back.
func (m *Machine) give(node int, requests cluster.Resources) {
	m.book(node, requests, cluster.Resources.Add)
}

func (m *Machine) book(node int, requests cluster.Resources, change func(free, by cluster.Resources) cluster.Resources) {
	n := &m.nodes[node]
	m.counted(n, -1)
	m.whole -= wholeNode(n)
	m.free -= n.Free.Get(gpus)
	n.Free = change(n.Free, requests)
	m.whole += wholeNode(n)
	m.free += n.Free.Get(gpus)
	m.counted(n, 1)
	m.Index.Update(node, *n)
}

func (m *Machine) find(name string) (int, bool) { return cluster.Find(m.nodes, name) }

// largest is the number of GPUs of the node with the most.
func (m *Machine) largest() int {
	most := int64(0)
	for i := range m.nodes {
		most = max(most, m.nodes[i].Allocatable.Get(gpus))
	}
	return int(most)
}
