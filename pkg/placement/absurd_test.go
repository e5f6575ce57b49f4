package placement

import (
	"math"
	"testing"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// TestAbsurdNodes: what a node says of itself may be nothing, less than nothing or more
// than can be counted. It spoils no plan, and no message counts past the end.
func TestAbsurdNodes(t *testing.T) {
	amounts := func(free cluster.Resources) cluster.Node {
		return cluster.Node{Labels: map[string]string{"b": "b", "r": "r"}, Free: free, Allocatable: free}
	}
	all := func(amount int64) cluster.Resources {
		return cluster.Resources{}.Set(cluster.CPU, amount).Set(cluster.Pods, amount).Set(gpu, amount)
	}
	nodes := []cluster.Node{
		amounts(nil), amounts(all(0)), amounts(all(-1)), amounts(all(math.MinInt64)), amounts(all(math.MaxInt64)), amounts(all(math.MaxInt64)),
		amounts(all(4)),
	}
	for i := range nodes {
		nodes[i].Name = string(rune('a' + i))
	}
	tests := []struct {
		name  string
		nodes []cluster.Node
		req   Request
		kind  Kind // empty: it fits
	}{
		{"beside nodes that have nothing", nodes, Request{Classes: []Class{class(4, 1, 1)}}, ""},
		{"on nodes that have more than can be counted", nodes, Request{Classes: []Class{class(1000, 1, 1)}}, ""},
		{"requests that sum up past the end", nodes, Request{Classes: []Class{class(3, math.MaxInt64, math.MaxInt64)}}, Impossible},
		{"two classes of them", nodes, Request{Classes: []Class{class(2, math.MaxInt64, 1), class(2, 1, math.MaxInt64)}}, Impossible},
		{"only nodes that have nothing", nodes[:4], Request{Classes: []Class{class(1, 1, 1)}}, Impossible},
		{"no nodes at all", nil, Request{Classes: []Class{class(1, 1, 1)}}, NoNodes},
		{"a gang larger than any cluster", nodes[6:], Request{Classes: []Class{class(1<<20, 1, 1)}}, Impossible},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan, rejection := Solve(tt.req, tt.nodes, topology.Build(levels, tt.nodes))
			if tt.kind == "" {
				if plan == nil {
					t.Fatalf("rejected: %+v", rejection)
				}
				check(t, tt.req, tt.nodes, plan)
				return
			}
			if plan != nil || rejection.Kind != tt.kind {
				t.Fatalf("plan %+v, rejection %+v, want %s", plan, rejection, tt.kind)
			}
			for _, m := range rejection.Missing {
				if m.Need < 0 || m.Free < 0 || m.Placeable < 0 || m.Placeable > tt.req.Size() {
					t.Errorf("%+v: a number went past the end", m)
				}
			}
		})
	}
}

// TestContradictoryLabels: one rack's name under two blocks is two racks, and what is
// required of a rack is required of each by itself.
func TestContradictoryLabels(t *testing.T) {
	nodes := []cluster.Node{node("a", "b0", "r", 100, 2), node("b", "b1", "r", 100, 2), node("c", "", "r", 100, 2)}
	tree := topology.Build(levels, nodes)
	if plan, rejection := Solve(Request{Classes: []Class{class(3, 1, 1)}, Required: 2}, nodes, tree); plan != nil || rejection.Kind != Impossible {
		t.Errorf("three pods in one rack: %+v, %+v", plan, rejection)
	}
	if plan, _ := Solve(Request{Classes: []Class{class(6, 1, 1)}}, nodes, tree); plan == nil {
		t.Error("six pods anywhere do not fit on three nodes for two each")
	}
}
