package placement

import (
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// Index is a cluster prepared for planning. It remembers, between plans, what
// domains can hold, and forgets only what a changed node is part of.
// It is not safe for concurrent use.
type Index struct {
	tree *topology.Tree
	// nodes are the index's own; their amounts lie in its own memory, so a caller
	// may go on changing the slices that it handed over.
	nodes       []cluster.Node
	discouraged int
	offered     cluster.Resources // sum of Allocatable
	free        amounts
	journal     journal
	slots       recent[*slots]
	shapes      recent[*shape]
	// risen counts the changes that could let a gang fit that did not before; what
	// was rejected at the same count need not be tried again.
	risen uint64
	// altered counts the changes in what nodes offer and to whom, whatever is free.
	altered  uint64
	rejected map[string]verdict
	empty    *Index  // the same nodes with nothing on them; made when first needed
	members  []int32 // scratch, by domain; all zero between plans
}

// verdict is the costly part of a rejection and the state it holds for: that there is no
// plan while nothing has risen, and the kind of a rejection while nothing is altered.
type verdict struct {
	kind           Kind
	risen, altered uint64
}

// maxEntries bounds the memory for fronts: their entries, of some forty bytes each,
// in all the shapes that are remembered.
const maxEntries = 1 << 21

// trim forgets the shapes not used for longest while all together take too much.
func (x *Index) trim() {
	sum := 0
	for _, s := range x.shapes.values {
		sum += s.entries()
	}
	for sum > maxEntries && len(x.shapes.values) > 1 {
		sum -= x.shapes.values[0].entries()
		x.shapes.drop()
	}
}

// How many classes and how many gangs' shapes an index remembers. The queue's
// head is planned again and again, and jobs of one team look alike.
const (
	rememberSlots    = 64
	rememberShapes   = 16
	rememberRejected = 1024
)

// NewIndex prepares the nodes. They are sorted by name, and the tree was built
// from them. The amounts are copied; labels are shared.
func NewIndex(nodes []cluster.Node, tree *topology.Tree) *Index {
	x := &Index{
		tree:     tree,
		nodes:    slices.Clone(nodes),
		journal:  journal{limit: 2*len(nodes) + 2},
		slots:    recent[*slots]{limit: rememberSlots},
		shapes:   recent[*shape]{limit: rememberShapes},
		rejected: map[string]verdict{},
		members:  make([]int32, len(tree.Domains)),
	}
	width := 0
	for i := range nodes {
		width += len(nodes[i].Free) + len(nodes[i].Allocatable)
	}
	arena := make(cluster.Resources, 0, width)
	own := func(r cluster.Resources) cluster.Resources {
		start := len(arena)
		arena = append(arena, r...)
		return arena[start:len(arena):len(arena)]
	}
	for i := range x.nodes {
		n := &x.nodes[i]
		n.Free, n.Allocatable = own(n.Free), own(n.Allocatable)
		if n.Discouraged {
			x.discouraged++
		}
		x.offered = addOffered(x.offered, n.Allocatable, 1)
		x.free.add(tree, tree.Leaf(i), n.Free, 1)
	}
	return x
}

// Tree returns the tree that the index was made with.
func (x *Index) Tree() *topology.Tree { return x.tree }

// Node returns the node at place i as it was last given. Its amounts belong to
// the index and change with Update.
func (x *Index) Node(i int) cluster.Node { return x.nodes[i] }

// Len is the number of nodes.
func (x *Index) Len() int { return len(x.nodes) }

// FreeIn is what is free of a resource in a domain: the sum over its nodes, of which
// none counts as less than nothing.
func (x *Index) FreeIn(resource, domain int) int64 { return x.free.of(resource, domain) }

// Update takes in what has become of the node at place i: its free and
// allocatable amounts, whether it is to be avoided, or, together with Reopen, anything
// that the classes' Eligible looks at. Its name and the labels the tree is made from
// have to be as they were; otherwise a new tree and a new index are needed.
func (x *Index) Update(i int, node cluster.Node) {
	n := &x.nodes[i]
	onlyTaken := n.Discouraged == node.Discouraged && equal(n.Allocatable, node.Allocatable) &&
		!equal(n.Free, node.Free) && atMost(node.Free, n.Free)
	if !onlyTaken {
		x.risen++
	}
	if n.Discouraged != node.Discouraged || !equal(n.Allocatable, node.Allocatable) {
		x.altered++
	}
	if n.Discouraged != node.Discouraged {
		if x.discouraged--; node.Discouraged {
			x.discouraged += 2
		}
	}
	if !equal(n.Allocatable, node.Allocatable) {
		x.offered = addOffered(x.offered, n.Allocatable, -1)
		x.offered = addOffered(x.offered, node.Allocatable, 1)
	}
	x.free.add(x.tree, x.tree.Leaf(i), n.Free, -1)
	x.free.add(x.tree, x.tree.Leaf(i), node.Free, 1)
	n.Discouraged, n.Labels = node.Discouraged, node.Labels
	n.Free = append(n.Free[:0], node.Free...)
	n.Allocatable = append(n.Allocatable[:0], node.Allocatable...)
	x.journal.add(i)
	if x.empty != nil {
		emptied := node
		emptied.Free = node.Allocatable
		x.empty.Update(i, emptied)
	}
}

// Reopen forgets what was rejected: a node that was updated may be eligible now that was
// not before, which the index cannot see.
func (x *Index) Reopen() { x.risen, x.altered = x.risen+1, x.altered+1 }

func addOffered(total, amounts cluster.Resources, sign int64) cluster.Resources {
	for i, amount := range amounts {
		total = total.Set(i, total.Get(i)+sign*min(max(0, amount), vast))
	}
	return total
}

func equal(a, b cluster.Resources) bool { return atMost(a, b) && atMost(b, a) }

// atMost reports whether a is nowhere above b.
func atMost(a, b cluster.Resources) bool {
	for i := range max(len(a), len(b)) {
		if a.Get(i) > b.Get(i) {
			return false
		}
	}
	return true
}

// emptied returns the index of the same nodes with nothing on them.
func (x *Index) emptied() *Index {
	if x.empty == nil {
		nodes := slices.Clone(x.nodes)
		for i := range nodes {
			nodes[i].Free = nodes[i].Allocatable
		}
		x.empty = NewIndex(nodes, x.tree)
	}
	return x.empty
}
