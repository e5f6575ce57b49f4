package placement

import (
	"fmt"
	"testing"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

var levels = []topology.Level{{Name: "block", Key: "b"}, {Name: "rack", Key: "r"}}

const gpu = cluster.Pods + 1

// node makes a node with the given place and free amounts.
func node(name, block, rack string, cpu, gpus int64) cluster.Node {
	free := cluster.Resources{}.Set(cluster.CPU, cpu).Set(cluster.Pods, 110).Set(gpu, gpus)
	return cluster.Node{
		Name: name, Labels: map[string]string{"b": block, "r": rack},
		Allocatable: free.Clone(), Free: free,
	}
}

// racks makes one block of racks whose nodes have the given free GPUs.
func racks(block string, free ...[]int64) []cluster.Node {
	var nodes []cluster.Node
	for r, hosts := range free {
		for h, g := range hosts {
			nodes = append(nodes, node(fmt.Sprintf("%s-r%02d-n%02d", block, r, h), block, fmt.Sprintf("r%02d", r), 1000, g))
		}
	}
	return nodes
}

func class(count int, cpu, gpus int64) Class {
	return Class{Count: count, Requests: cluster.Resources{}.Set(cluster.CPU, cpu).Set(cluster.Pods, 1).Set(gpu, gpus)}
}

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// check fails the test unless the plan is valid: every member has room.
func check(t fataler, req Request, nodes []cluster.Node, plan *Plan) {
	t.Helper()
	placed := make([]int, len(req.Classes))
	for _, share := range plan.Shares {
		free := nodes[share.Node].Free.Clone()
		if !mayMeet(req, share.Counts) {
			t.Fatalf("node %s holds %v, which keep apart", nodes[share.Node].Name, share.Counts)
		}
		for c, n := range share.Counts {
			placed[c] += n
			if n > 0 && req.Classes[c].Eligible != nil && !req.Classes[c].Eligible(share.Node) {
				t.Fatalf("node %s is not eligible for class %d", nodes[share.Node].Name, c)
			}
			for range n {
				if !req.Classes[c].Requests.Fits(free) {
					t.Fatalf("node %s is over-committed by %v", nodes[share.Node].Name, share.Counts)
				}
				free = free.Sub(req.Classes[c].Requests)
			}
		}
	}
	for c, n := range placed {
		if n != req.Classes[c].Count {
			t.Fatalf("class %d: %d placed, want %d", c, n, req.Classes[c].Count)
		}
	}
}

func TestSolve(t *testing.T) {
	rack, block := 2, 1
	tests := []struct {
		name  string
		nodes []cluster.Node
		req   Request
		used  []int // cluster, block, rack, host; nil: no plan
		on    string
		kind  Kind
	}{
		{
			name:  "a gang that fits one node takes one node, the tightest",
			nodes: racks("a", []int64{8, 4}, []int64{3, 8}),
			req:   Request{Classes: []Class{class(3, 1, 1)}},
			used:  []int{1, 1, 1, 1}, on: "a-r01-n00",
		},
		{
			name:  "whole racks stay free: the tight rack is filled first",
			nodes: racks("a", []int64{8, 8, 8}, []int64{8, 8}),
			req:   Request{Classes: []Class{class(2, 1, 8)}},
			used:  []int{1, 1, 1, 2}, on: "a-r01-n00",
		},
		{
			name: "one rack in the looser block beats four racks in the tighter block",
			nodes: append(racks("a", []int64{2}, []int64{2}, []int64{2}, []int64{2}),
				racks("b", []int64{5, 4})...),
			req:  Request{Classes: []Class{class(8, 1, 1)}, Required: block},
			used: []int{1, 1, 1, 2}, on: "b-r00-n00",
		},
		{
			name:  "few nodes rather than many small ones",
			nodes: racks("a", []int64{1, 1, 1, 1, 8}),
			req:   Request{Classes: []Class{class(9, 1, 1)}},
			used:  []int{1, 1, 1, 2},
		},
		{
			name: "a Master with much CPU and a Worker with many GPUs fit side by side in one way only",
			nodes: []cluster.Node{
				node("n1", "a", "r0", 32, 1),
				node("n2", "a", "r0", 4, 8),
			},
			req:  Request{Classes: []Class{class(1, 32, 1), class(1, 4, 8)}},
			used: []int{1, 1, 1, 2},
		},
		{
			name:  "sums of free GPUs do not count: 4 nodes with 2 GPUs hold no Worker of 4",
			nodes: racks("a", []int64{2, 2, 2, 2}),
			req:   Request{Classes: []Class{class(1, 1, 0), class(2, 1, 4)}},
			kind:  Impossible,
		},
		{
			name:  "a required rack that no rack can give",
			nodes: racks("a", []int64{2, 1}, []int64{2, 2}),
			req:   Request{Classes: []Class{class(5, 1, 1)}, Required: rack},
			kind:  Impossible,
		},
		{
			name: "a required rack that is full now but could hold the gang when empty",
			nodes: func() []cluster.Node {
				nodes := racks("a", []int64{8, 8}, []int64{8, 8})
				for i := range nodes {
					nodes[i].Free = nodes[i].Free.Clone().Set(gpu, 3)
				}
				return nodes
			}(),
			req:  Request{Classes: []Class{class(8, 1, 1)}, Required: rack},
			kind: DoesNotFit,
		},
		{
			name:  "no node is eligible",
			nodes: racks("a", []int64{8}),
			req: Request{Classes: []Class{{
				Count: 1, Requests: class(1, 1, 1).Requests, Eligible: func(int) bool { return false },
			}}},
			kind: NoNodes,
		},
		{
			name:  "healing stays next to the members that are bound",
			nodes: racks("a", []int64{8, 8}, []int64{2, 2}),
			req:   Request{Classes: []Class{class(2, 1, 1)}, Fixed: []int{0}},
			used:  []int{1, 1, 1, 1}, on: "a-r00-n00",
		},
		{
			name:  "bound members in two racks cannot be healed into one",
			nodes: racks("a", []int64{8}, []int64{8}),
			req:   Request{Classes: []Class{class(1, 1, 1)}, Fixed: []int{0, 1}, Required: rack},
			kind:  FixedApart,
		},
		{
			name:  "a level whose label no node bears",
			nodes: []cluster.Node{{Name: "n", Free: class(1, 1, 1).Requests, Allocatable: class(1, 1, 1).Requests}},
			req:   Request{Classes: []Class{class(1, 1, 1)}, Required: rack},
			kind:  NoSuchLevel,
		},
		{
			name: "a node that pods should avoid is taken only when there is no other way",
			nodes: func() []cluster.Node {
				nodes := racks("a", []int64{8}, []int64{2, 2})
				nodes[0].Discouraged = true
				return nodes
			}(),
			req:  Request{Classes: []Class{class(4, 1, 1)}},
			used: []int{1, 1, 1, 2}, on: "a-r01-n00",
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
				if rejection.Kind != tt.kind {
					t.Fatalf("rejected as %s, want %s", rejection.Kind, tt.kind)
				}
				return
			}
			if plan == nil {
				t.Fatalf("rejected: %+v", rejection)
			}
			check(t, tt.req, tt.nodes, plan)
			if fmt.Sprint(plan.Used) != fmt.Sprint(tt.used) {
				t.Errorf("domains used %v, want %v", plan.Used, tt.used)
			}
			if got := tt.nodes[plan.Shares[0].Node].Name; tt.on != "" && got != tt.on {
				t.Errorf("first node %s, want %s", got, tt.on)
			}
		})
	}
}

// Members that never share a node lack nodes, however much of each resource these have.
func TestRejectionNamesNodes(t *testing.T) {
	nodes := racks("a", []int64{8, 8}, []int64{8})
	one, eight := class(4, 1, 1), class(4, 1, 8)
	one.Apart, eight.Apart = 1, 1
	for _, tt := range []struct {
		class    Class
		resource int
		free     int64
	}{{one, Hosts, 3}, {eight, gpu, 24}} {
		_, r := Solve(Request{Classes: []Class{tt.class}}, nodes, topology.Build(levels, nodes))
		if m := r.Emptied[0]; m.Resource != tt.resource || m.Free != tt.free || m.Placeable != 3 {
			t.Errorf("missing %+v, want resource %d, of which %d are usable", m, tt.resource, tt.free)
		}
	}
}

func TestRejectionNumbers(t *testing.T) {
	nodes := racks("a", []int64{2, 1}, []int64{2, 2})
	tree := topology.Build(levels, nodes)
	_, r := Solve(Request{Classes: []Class{class(5, 1, 1)}, Required: 2}, nodes, tree)
	first := r.Missing[0]
	if got := tree.Domains[first.Domain].Path; got != "a/r01" {
		t.Errorf("nearest domain %s, want a/r01", got)
	}
	if first.Resource != gpu || first.Need != 5 || first.Free != 4 || first.Placeable != 4 {
		t.Errorf("missing %+v, want 5 GPUs needed, 4 usable", first)
	}
}

// TestRejectionOfClassesTogether: each class fits, both together are short of GPUs.
func TestRejectionOfClassesTogether(t *testing.T) {
	nodes := racks("a", []int64{4, 4})
	tree := topology.Build(levels, nodes)
	_, r := Solve(Request{Classes: []Class{class(2, 1, 3), class(5, 1, 1)}}, nodes, tree)
	if m := r.Missing[0]; m.Resource != gpu || m.Need != 11 || m.Free != 8 || m.Placeable != 6 {
		t.Errorf("missing %+v, want 11 GPUs needed, 8 free", m)
	}
}

// TestRejectionCountsAllClasses: a Master beside its Workers asks for GPUs as well, and no
// GPU is counted for both, nor one of a node that may run neither.
func TestRejectionCountsAllClasses(t *testing.T) {
	for _, tt := range []struct {
		name       string
		free       []int64
		barred     int // node that may run none of them
		need, used int64
		placeable  int
	}{
		{"nothing is free", []int64{0, 0}, -1, 32, 0, 0},
		{"either of two classes would fit", []int64{8, 0}, -1, 32, 8, 1},
		{"borders of nodes are in the way", []int64{8, 7, 7}, -1, 32, 8, 1},
		{"a node may not run them", []int64{8, 8, 8}, 2, 32, 16, 2},
	} {
		nodes := racks("a", tt.free)
		master, workers := class(1, 2, 8), class(3, 1, 8)
		master.Eligible = func(node int) bool { return node != tt.barred }
		workers.Eligible = master.Eligible
		_, r := Solve(Request{Classes: []Class{master, workers}}, nodes, topology.Build(levels, nodes))
		if m := r.Missing[0]; m.Resource != gpu || m.Need != tt.need || m.Free != tt.used || m.Placeable != tt.placeable {
			t.Errorf("%s: missing %+v, want %d GPUs needed, %d usable, room for %d", tt.name, m, tt.need, tt.used, tt.placeable)
		}
	}
}

func TestAssignKeepsRanksTogether(t *testing.T) {
	plan := &Plan{Shares: []Share{{Node: 7, Counts: []int{1, 1}}, {Node: 3, Counts: []int{0, 2}}}}
	got := plan.Assign([]int{0, 1, 1, 1})
	if fmt.Sprint(got) != "[7 7 3 3]" {
		t.Errorf("got %v", got)
	}
}
