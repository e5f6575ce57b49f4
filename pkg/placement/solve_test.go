package placement

import (
	"fmt"
	"math/rand"
	"testing"

	"pgregory.net/rapid"

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

func TestAssignKeepsRanksTogether(t *testing.T) {
	plan := &Plan{Shares: []Share{{Node: 7, Counts: []int{1, 1}}, {Node: 3, Counts: []int{0, 2}}}}
	got := plan.Assign([]int{0, 1, 1, 1})
	if fmt.Sprint(got) != "[7 7 3 3]" {
		t.Errorf("got %v", got)
	}
}

// smallCase draws a cluster of a few nodes and a gang of one or two classes.
func smallCase(t *rapid.T) ([]cluster.Node, Request) {
	n := rapid.IntRange(1, 6).Draw(t, "nodes")
	nodes := make([]cluster.Node, n)
	for i := range nodes {
		nodes[i] = node(fmt.Sprintf("n%d", i),
			fmt.Sprint(rapid.IntRange(0, 1).Draw(t, "block")), fmt.Sprint(rapid.IntRange(0, 1).Draw(t, "rack")),
			int64(rapid.IntRange(0, 8).Draw(t, "cpu")), int64(rapid.IntRange(0, 4).Draw(t, "gpus")))
	}
	req := Request{Required: rapid.IntRange(0, 3).Draw(t, "required")}
	for range rapid.IntRange(1, 2).Draw(t, "classes") {
		req.Classes = append(req.Classes, class(rapid.IntRange(1, 3).Draw(t, "count"),
			int64(rapid.IntRange(0, 4).Draw(t, "c")), int64(rapid.IntRange(0, 3).Draw(t, "g"))))
	}
	return nodes, req
}

// bruteForce tries every assignment and returns the fewest domains used, widest
// level first, or nil.
func bruteForce(req Request, nodes []cluster.Node, tree *topology.Tree) []int {
	var members []int
	for c, cl := range req.Classes {
		for range cl.Count {
			members = append(members, c)
		}
	}
	free := make([]cluster.Resources, len(nodes))
	for i := range nodes {
		free[i] = nodes[i].Free.Clone()
	}
	var best []int
	at := make([]int, len(members))
	var try func(i int)
	try = func(i int) {
		if i == len(members) {
			used := make([]map[int]bool, tree.Hosts()+1)
			for l := range used {
				used[l] = map[int]bool{}
				for _, n := range at {
					used[l][tree.Ancestor(tree.Leaf(n), l)] = true
				}
			}
			if len(used[req.Required]) > 1 {
				return
			}
			counts := make([]int, len(used))
			for l := range used {
				counts[l] = len(used[l])
			}
			if best == nil || less(counts, best) {
				best = counts
			}
			return
		}
		cl := req.Classes[members[i]]
		for n := range nodes {
			if !cl.Requests.Fits(free[n]) {
				continue
			}
			free[n] = free[n].Sub(cl.Requests)
			at[i] = n
			try(i + 1)
			free[n] = free[n].Add(cl.Requests)
		}
	}
	try(0)
	return best
}

func less(a, b []int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

func TestSolveAgreesWithBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, req := smallCase(t)
		tree := topology.Build(levels, nodes)
		want := bruteForce(req, nodes, tree)
		plan, _ := Solve(req, nodes, tree)
		if (plan != nil) != (want != nil) {
			t.Fatalf("plan %v, brute force %v", plan, want)
		}
		if plan != nil && fmt.Sprint(plan.Used) != fmt.Sprint(want) {
			t.Fatalf("domains used %v, the fewest are %v", plan.Used, want)
		}
	})
}

func TestShapeDoesNotDependOnNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, req := smallCase(t)
		plan, _ := Solve(req, nodes, topology.Build(levels, nodes))
		renamed := append([]cluster.Node(nil), nodes...)
		rand.New(rand.NewSource(int64(len(nodes)))).Shuffle(len(renamed), func(i, j int) {
			renamed[i], renamed[j] = renamed[j], renamed[i]
		})
		for i := range renamed {
			renamed[i].Name = fmt.Sprintf("m%d", i)
		}
		other, _ := Solve(req, renamed, topology.Build(levels, renamed))
		if (plan == nil) != (other == nil) {
			t.Fatal("renaming nodes changed whether the gang fits")
		}
		if plan != nil && fmt.Sprint(plan.Used) != fmt.Sprint(other.Used) {
			t.Fatalf("renaming nodes changed the domains used: %v, %v", plan.Used, other.Used)
		}
	})
}

func TestGreedyPlansAreValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, req := smallCase(t)
		tree := topology.Build(levels, nodes)
		plan := NewIndex(nodes, tree).greedy(req, false)
		if plan == nil {
			return
		}
		check(t, req, nodes, plan)
		if exact, _ := Solve(req, nodes, tree); exact == nil {
			t.Fatal("the greedy method found a plan that the exact one did not")
		}
	})
}

func BenchmarkSolve(b *testing.B) {
	for _, size := range []struct{ nodes, pods int }{{1000, 8}, {1000, 64}, {5000, 8}, {5000, 512}} {
		b.Run(fmt.Sprintf("nodes=%d/pods=%d", size.nodes, size.pods), func(b *testing.B) {
			var hosts [][]int64
			for range size.nodes / 16 {
				hosts = append(hosts, []int64{8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8})
			}
			nodes := racks("a", hosts...)
			tree := topology.Build(levels, nodes)
			req := Request{Classes: []Class{class(size.pods, 1, 1)}}
			b.ReportAllocs()
			for b.Loop() {
				if plan, _ := Solve(req, nodes, tree); plan == nil {
					b.Fatal("no plan")
				}
			}
		})
	}
}
