package placement

import (
	"math"
	"slices"
	"testing"

	"lockstep.dev/lockstep/pkg/topology"
)

func TestLeftAroundOrdersByNodeThenRackThenBlock(t *testing.T) {
	nodes := append(racks("a", []int64{4, 8}, []int64{4, 2}), node("z", "other", "r9", 100, 4))
	x := NewIndex(nodes, topology.Build(levels, nodes))
	places := []int{0, 1, 2, 3, 4}
	slices.SortFunc(places, func(a, b int) int { return int(x.LeftAround(a, gpu, 2) - x.LeftAround(b, gpu, 2)) })
	// 0 is left on node 3; 2 on three nodes, of which z's rack has 2 left, then comes
	// the rack of 6 and then that of 12; 6 on node 1.
	if want := []int{3, 4, 2, 0, 1}; !slices.Equal(places, want) {
		t.Errorf("ordered as %v, want %v", places, want)
	}
	if got := x.Closeness(0, 1); got != 2 {
		t.Errorf("two nodes of a rack are close at level %d, want 2", got)
	}
	if got := x.Closeness(0, 4); got != 0 {
		t.Errorf("nodes of two blocks are close at level %d, want 0", got)
	}
}

func TestLeftAroundOfAbsurdAmounts(t *testing.T) {
	nodes := []int64{math.MaxInt64, 0, -5}
	cluster := racks("a", nodes)
	x := NewIndex(cluster, topology.Build(levels, cluster))
	for i := range nodes {
		if key := x.LeftAround(i, gpu, math.MaxInt64); key < 0 {
			t.Errorf("node %d: %d; a sum wrapped around", i, key)
		}
	}
	if x.LeftAround(0, gpu, 1) <= x.LeftAround(1, gpu, 1) {
		t.Error("the node with more free is the tighter")
	}
}
