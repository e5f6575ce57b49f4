package placement

import (
	"slices"
	"testing"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// TestWhereOthersAreNotOptimal has a small case for each rule of choosing by which
// another scheduler misses the best placement, or any.
func TestWhereOthersAreNotOptimal(t *testing.T) {
	block, rack := 1, 2
	tests := []struct {
		name  string
		nodes []cluster.Node
		req   Request
		used  []int // cluster, block, rack, host; nil: no plan
		racks []int // members by rack, the fullest first
	}{
		{
			name:  "Kueue: the tighter block first, although its racks are small",
			nodes: append(racks("a", []int64{2}, []int64{2}, []int64{2}, []int64{2}), racks("b", []int64{8, 1})...),
			req:   Request{Classes: []Class{class(8, 1, 1)}, Required: block},
			used:  []int{1, 1, 1, 1},
		},
		{
			name:  "Kueue: the least free nodes first when unconstrained",
			nodes: racks("a", []int64{1, 1, 1, 1, 8}),
			req:   Request{Classes: []Class{class(9, 1, 1)}},
			used:  []int{1, 1, 1, 2},
		},
		{
			name: "Kueue: two Masters and a third class cannot be said",
			nodes: []cluster.Node{
				node("n1", "a", "r0", 64, 0), node("n2", "a", "r0", 8, 8), node("n3", "a", "r1", 99, 8),
			},
			req:  Request{Classes: []Class{class(2, 24, 0), class(1, 16, 0), class(2, 4, 4)}, Required: rack},
			used: []int{1, 1, 1, 1},
		},
		{
			name:  "KAI: a representative that is the maximum of all members fits nowhere",
			nodes: []cluster.Node{node("n1", "a", "r0", 32, 1), node("n2", "a", "r0", 4, 8)},
			req:   Request{Classes: []Class{class(1, 32, 1), class(1, 4, 8)}, Required: rack},
			used:  []int{1, 1, 1, 2},
		},
		{
			name:  "KAI, Volcano: the sum of free GPUs suffices, no node does",
			nodes: racks("a", []int64{2, 2, 2, 2}),
			req:   Request{Classes: []Class{class(1, 1, 0), class(2, 1, 4)}, Required: rack},
		},
		{
			name: "KAI: more than ten racks, of which one holds the gang",
			nodes: racks("a", []int64{7}, []int64{7}, []int64{7}, []int64{7}, []int64{7}, []int64{7},
				[]int64{7}, []int64{7}, []int64{7}, []int64{7}, []int64{7}, []int64{7}, []int64{6, 3}),
			req:  Request{Classes: []Class{class(8, 1, 1)}},
			used: []int{1, 1, 1, 2},
		},
		{
			name:  "Volcano: the first member goes to the fuller rack and the others follow",
			nodes: racks("a", []int64{1}, []int64{4, 4}),
			req:   Request{Classes: []Class{class(8, 1, 1)}},
			used:  []int{1, 1, 1, 2},
		},
		{
			name:  "Koordinator: a Master as the representative undercounts the Workers",
			nodes: []cluster.Node{node("n1", "a", "r0", 16, 0), node("n2", "a", "r0", 8, 8)},
			req:   Request{Classes: []Class{class(1, 16, 0), class(8, 1, 1)}, Required: rack},
			used:  []int{1, 1, 1, 2},
		},
		{
			name:  "Slurm tree: the largest leaf first breaks it for nothing",
			nodes: racks("a", []int64{8, 8, 8, 8, 8, 8, 8, 8}, []int64{8, 8, 8, 8, 8}, []int64{8, 8, 8, 8, 8}),
			req:   Request{Classes: []Class{class(10, 1, 8)}},
			used:  []int{1, 1, 2, 10}, racks: []int{5, 5},
		},
		{
			name:  "Slurm block: two free blocks need not be neighbours",
			nodes: append(append(racks("a", []int64{8}), racks("b", []int64{0})...), racks("c", []int64{8})...),
			req:   Request{Classes: []Class{class(2, 1, 8)}},
			used:  []int{1, 2, 2, 2},
		},
		{
			name:  "Kubernetes: a small member takes the node that the big one needs",
			nodes: []cluster.Node{node("n1", "a", "r0", 16, 8), node("n2", "a", "r0", 64, 8)},
			req:   Request{Classes: []Class{class(1, 8, 8), class(1, 60, 8)}},
			used:  []int{1, 1, 1, 2},
		},
		{
			name:  "Kubernetes: the racks inside the required block are looked at too",
			nodes: racks("a", []int64{3, 3}, []int64{4, 4}, []int64{3, 3}),
			req:   Request{Classes: []Class{class(8, 1, 1)}, Required: block, Preferred: rack},
			used:  []int{1, 1, 1, 2}, racks: []int{8},
		},
		{
			name:  "the fewest racks, then the fewest nodes: greedy level by level takes the racks with most slots",
			nodes: racks("a", []int64{2, 2, 2, 2, 2}, []int64{8}, []int64{2, 2, 2}),
			req:   Request{Classes: []Class{class(14, 1, 1)}},
			used:  []int{1, 1, 2, 4}, racks: []int{8, 6},
		},
		{
			name:  "4+4 rather than 7+1",
			nodes: racks("a", []int64{7}, []int64{4}, []int64{1}, []int64{4}),
			req:   Request{Classes: []Class{class(8, 1, 1)}},
			used:  []int{1, 1, 2, 2}, racks: []int{4, 4},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := topology.Build(levels, tt.nodes)
			plan, rejection := Solve(tt.req, tt.nodes, tree)
			if tt.used == nil {
				if plan != nil {
					t.Fatalf("a plan where none is possible: %+v", plan)
				}
				return
			}
			if plan == nil {
				t.Fatalf("rejected: %+v", rejection)
			}
			check(t, tt.req, tt.nodes, plan)
			if !slices.Equal(plan.Used, tt.used) {
				t.Errorf("domains used %v, want %v", plan.Used, tt.used)
			}
			if got := membersBy(tree, plan, 2); tt.racks != nil && !slices.Equal(got, tt.racks) {
				t.Errorf("members by rack %v, want %v", got, tt.racks)
			}
		})
	}
}

// membersBy is the number of members in the domains of a level, in the order of ranks.
func membersBy(tree *topology.Tree, plan *Plan, level int) []int {
	var out []int
	last := -1
	for _, share := range plan.Shares {
		if d := tree.Ancestor(tree.Leaf(share.Node), level); d != last {
			out, last = append(out, 0), d
		}
		out[len(out)-1] += share.size()
	}
	return out
}

func TestSlices(t *testing.T) {
	rack := 2
	tests := []struct {
		name  string
		nodes []cluster.Node
		req   Request
		racks []int // nil: no plan
		kind  Kind
	}{
		{
			name:  "groups of 4, each in one rack: what is over 4 in a rack is of no use",
			nodes: racks("a", []int64{4, 3}, []int64{4, 3}, []int64{4}),
			req:   Request{Classes: []Class{class(12, 1, 1)}, SliceSize: 4, SliceLevel: rack},
			racks: []int{4, 4, 4},
		},
		{
			name:  "without slices two racks would do",
			nodes: racks("a", []int64{4, 3}, []int64{4, 3}, []int64{4}),
			req:   Request{Classes: []Class{class(12, 1, 1)}},
			racks: []int{6, 6},
		},
		{
			name:  "enough slots, not enough for whole groups",
			nodes: racks("a", []int64{3, 4}, []int64{3, 3}),
			req:   Request{Classes: []Class{class(12, 1, 1)}, SliceSize: 4, SliceLevel: rack},
			kind:  Impossible,
		},
		{
			name:  "a Master is a group by itself",
			nodes: racks("a", []int64{4}, []int64{4, 1}),
			req:   Request{Classes: []Class{class(1, 1, 1), class(8, 1, 1)}, SliceSize: 4, SliceLevel: rack},
			racks: []int{5, 4},
		},
		{
			name:  "a count that is no multiple",
			nodes: racks("a", []int64{8, 8}),
			req:   Request{Classes: []Class{class(9, 1, 1)}, SliceSize: 4, SliceLevel: rack},
			kind:  BadSlices,
		},
		{
			name:  "what completes a slice goes where its others are, although it would fit beside the rest",
			nodes: racks("a", []int64{4}, []int64{4, 2}),
			req: Request{
				Classes: []Class{class(4, 1, 1), completing(1, 0)}, Fixed: []int{0}, SliceSize: 4, SliceLevel: rack,
			},
			racks: []int{4, 1},
		},
		{
			name:  "there is no room for it there",
			nodes: racks("a", []int64{1}, []int64{4, 2}),
			req: Request{
				Classes: []Class{class(4, 1, 1), completing(2, 0)}, Fixed: []int{0}, SliceSize: 4, SliceLevel: rack,
			},
			kind: SliceStuck,
		},
		{
			name:  "slices in a level that no node is labelled for",
			nodes: []cluster.Node{node("a", "", "", 100, 4), node("b", "", "", 100, 3)},
			req:   Request{Classes: []Class{class(8, 1, 1)}, SliceSize: 4, SliceLevel: rack},
			kind:  NoSuchLevel,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := topology.Build(levels, tt.nodes)
			for c, class := range tt.req.Classes {
				if class.Within > 0 { // so far the number of a node
					tt.req.Classes[c].Within = tree.Ancestor(tree.Leaf(class.Within-1), rack)
				}
			}
			plan, rejection := Solve(tt.req, tt.nodes, tree)
			if tt.racks == nil {
				if plan != nil || rejection.Kind != tt.kind {
					t.Fatalf("plan %+v, rejection %+v, want %s", plan, rejection, tt.kind)
				}
				return
			}
			if plan == nil {
				t.Fatalf("rejected: %+v", rejection)
			}
			check(t, tt.req, tt.nodes, plan)
			if got := membersBy(tree, plan, rack); !slices.Equal(got, tt.racks) {
				t.Errorf("members by rack %v, want %v", got, tt.racks)
			}
		})
	}
}

// completing is a class of members of the slice that is placed in part in a node's rack.
func completing(count, node int) Class {
	c := class(count, 1, 1)
	c.Within = node + 1
	return c
}

func TestRankZeroIsWhereMostMembersAre(t *testing.T) {
	nodes := []cluster.Node{
		node("a", "a", "r0", 100, 2), // the Master fits everywhere; here is least left
		node("b", "a", "r1", 100, 8),
		node("c", "a", "r1", 100, 8),
	}
	tree := topology.Build(levels, nodes)
	req := Request{Classes: []Class{class(1, 1, 0), class(18, 1, 1)}}
	plan, _ := Solve(req, nodes, tree)
	check(t, req, nodes, plan)
	at := plan.Assign(append([]int{0}, slices.Repeat([]int{1}, 18)...))
	if got := nodes[at[0]].Labels["r"]; got != "r1" {
		t.Errorf("rank 0 is in rack %s with the fewest members: %v", got, at)
	}
}

func TestPreferredLevel(t *testing.T) {
	nodes := racks("a", []int64{4}, []int64{4}, []int64{2})
	tree := topology.Build(levels, nodes)
	for count, want := range map[int]bool{4: true, 6: false} {
		plan, _ := Solve(Request{Classes: []Class{class(count, 1, 1)}, Preferred: 2}, nodes, tree)
		if plan.Preferred != want {
			t.Errorf("%d members: preferred rack met is %v, want %v", count, plan.Preferred, want)
		}
	}
}

// TestOddInput: amounts that no sane node has, and gangs of no sane size.
func TestOddInput(t *testing.T) {
	const huge = 1<<63 - 1
	nodes := racks("a", []int64{8, 8})
	nodes[0].Free = cluster.Resources{huge, huge, huge, huge, huge}
	nodes[0].Allocatable = nodes[0].Free
	nodes[1].Free = cluster.Resources{-huge, 0, 0, 110, -1}
	nodes = append(nodes, cluster.Node{Name: "z-empty"})
	tree := topology.Build(levels, nodes)
	tests := []struct {
		name string
		req  Request
		fits bool
	}{
		{"fits the huge node", Request{Classes: []Class{class(4096, 1000, 1)}}, true},
		{"requests that overflow", Request{Classes: []Class{class(3, huge/2, 1)}}, false},
		{"a gang larger than the cluster", Request{Classes: []Class{{
			Count: 1 << 30, Requests: cluster.Resources{}.Set(cluster.Pods, 1<<40),
		}}}, false},
		{"no members", Request{}, true},
		{"nothing asked for", Request{Classes: []Class{{Count: 3}}}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan, rejection := Solve(tt.req, nodes, tree)
			if (plan != nil) != tt.fits {
				t.Errorf("plan %v, rejection %v", plan, rejection)
			}
		})
	}
	if plan, r := Solve(Request{Classes: []Class{class(1, 1, 1)}}, nil, topology.Build(levels, nil)); plan != nil || r == nil {
		t.Error("a plan without nodes")
	}
}

// TestBigMixedGang: big gangs are cut short in the search; the plans
// stay valid and near their bounds.
func TestBigMixedGang(t *testing.T) {
	nodes := fragmented(2000, 0.4, 1)
	tree := topology.Build(levels, nodes)
	req := Request{Classes: []Class{
		class(40, 32000, 2), class(300, 8000, 1), class(30, 64000, 4), class(50, 16000, 0),
	}}
	plan, r := Solve(req, nodes, tree)
	if plan == nil {
		t.Fatalf("rejected: %+v", r)
	}
	check(t, req, nodes, plan)
	if plan.Exact || plan.Bound == nil {
		t.Fatalf("exact %v, bound %v: the case is too small for this test", plan.Exact, plan.Bound)
	}
	t.Logf("used %v, bound %v", plan.Used, plan.Bound)
	for l, bound := range plan.Bound {
		if plan.Used[l] < bound || plan.Used[l] > 4*bound {
			t.Errorf("level %d: %d domains used, bound %d", l, plan.Used[l], bound)
		}
	}
}
