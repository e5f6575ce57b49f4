package placement

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// TestSolveIf: the answer is that of a cluster on which the amounts are free, and the
// index answers afterwards as if it had not been asked.
func TestSolveIf(t *testing.T) {
	w := drawing{nodes: 6, classes: 2, count: 4, extras: true}
	rapid.Check(t, func(t *rapid.T) {
		nodes, req := w.draw(t)
		tree := topology.Build(levels, nodes)
		x := NewIndex(nodes, tree)
		before, rejectedBefore := x.Solve(req)
		sums := clone(x.free)

		var freed []Freed
		roomier := make([]cluster.Node, len(nodes))
		for i := range nodes {
			roomier[i] = nodes[i]
			roomier[i].Free = nodes[i].Free.Clone()
		}
		for range rapid.IntRange(0, 4).Draw(t, "freed") {
			f := Freed{rapid.IntRange(0, len(nodes)-1).Draw(t, "node"), cluster.Resources{}.Set(gpu, rapid.Int64Range(0, 3).Draw(t, "gpus"))}
			freed = append(freed, f)
			roomier[f.Node].Free = roomier[f.Node].Free.Add(f.Amounts)
		}
		plan, rejection := x.SolveIf(req, freed)
		wantPlan, wantRejection := Solve(req, roomier, tree)
		if !reflect.DeepEqual(plan, wantPlan) || !reflect.DeepEqual(rejection, wantRejection) {
			t.Fatalf("%+v, %+v; on such a cluster %+v, %+v", plan, rejection, wantPlan, wantRejection)
		}

		if got := clone(x.free); !reflect.DeepEqual(got, sums) {
			t.Fatalf("free is %v by domain, was %v", got, sums)
		}
		for i := range nodes {
			if !reflect.DeepEqual(x.Node(i), nodes[i]) {
				t.Fatalf("node %d is %+v, was %+v", i, x.Node(i), nodes[i])
			}
		}
		if after, rejectedAfter := x.Solve(req); !reflect.DeepEqual(after, before) || !reflect.DeepEqual(rejectedAfter, rejectedBefore) {
			t.Fatalf("%+v, %+v; before %+v, %+v", after, rejectedAfter, before, rejectedBefore)
		}
	})
}

// clone copies sums, without resources of which there is nothing.
func clone(a amounts) (sums [][]int64) {
	for _, in := range a.in {
		sums = append(sums, append([]int64(nil), in...))
	}
	for len(sums) > 0 && !anyAbove(sums[len(sums)-1]) {
		sums = sums[:len(sums)-1]
	}
	return sums
}

func anyAbove(list []int64) bool {
	for _, n := range list {
		if n != 0 {
			return true
		}
	}
	return false
}
