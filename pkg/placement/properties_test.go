package placement

import (
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"lockstep.dev/lockstep/pkg/topology"
)

// agreesWithOracle: the planner finds a placement exactly where there is one, it
// is valid, and none is better, down to what is left free.
func agreesWithOracle(w drawing) func(t *rapid.T) {
	return func(t *rapid.T) {
		nodes, req := w.draw(t)
		tree := topology.Build(levels, nodes)
		want := verdictOf(req, nodes, tree)
		plan, rejection := Solve(req, nodes, tree)
		if (plan == nil) == (rejection == nil) {
			t.Fatalf("plan %v and rejection %v", plan, rejection)
		}
		if (plan != nil) != (want != nil) {
			t.Fatalf("plan %v, the oracle says %v", plan, want)
		}
		if plan == nil {
			return
		}
		check(t, req, nodes, plan)
		if got := verdictOfPlan(req, nodes, tree, plan); !slices.Equal(got, want) {
			t.Fatalf("plan %v costs %v, the best costs %v", plan.Shares, got, want)
		}
		for l, n := range plan.Used {
			if int64(n) != want[1+l] {
				t.Fatalf("says that %v domains are used, they are %v", plan.Used, want)
			}
		}
	}
}

func TestHomogeneousGangsAreOptimal(t *testing.T) {
	rapid.Check(t, agreesWithOracle(drawing{nodes: 7, classes: 1, count: 7}))
}

func TestMixedGangsAreOptimal(t *testing.T) {
	rapid.Check(t, agreesWithOracle(drawing{nodes: 5, classes: 3, count: 3}))
}

func TestGangsWithExtrasAreOptimal(t *testing.T) {
	rapid.Check(t, agreesWithOracle(drawing{nodes: 5, classes: 2, count: 4, extras: true}))
}

func FuzzOptimal(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(agreesWithOracle(drawing{nodes: 5, classes: 3, count: 4, extras: true})))
}

// TestVariedGangsFitWhereTheyCan: above the exact method's budget plans are still
// valid, found where there is one, and not below the bound they give.
func TestVariedGangsFitWhereTheyCan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, req := drawing{nodes: 5, classes: 4, count: 5}.draw(t)
		for len(req.Classes) < 4 {
			req.Classes = append(req.Classes, class(4, int64(len(req.Classes)), 1))
		}
		tree := topology.Build(levels, nodes)
		plan, _ := Solve(req, nodes, tree)
		if want := fits(req, nodes, tree); (plan != nil) != want {
			t.Fatalf("plan %v, but it fits: %v", plan, want)
		}
		if plan == nil {
			return
		}
		check(t, req, nodes, plan)
		if plan.Used[req.Required] > 1 {
			t.Fatalf("the required level is missed: %v", plan.Used)
		}
		for l, bound := range plan.Bound {
			if plan.Used[l] < bound {
				t.Fatalf("uses %v domains, below its bound %v", plan.Used, plan.Bound)
			}
		}
	})
}

// TestIndexForgetsNothingItShould: an index that went through changes plans as a new one does.
func TestIndexForgetsNothingItShould(t *testing.T) {
	w := drawing{nodes: 8, classes: 2, count: 5, extras: true}
	rapid.Check(t, func(t *rapid.T) {
		nodes, _ := w.draw(t)
		tree := topology.Build(levels, nodes)
		index := NewIndex(nodes, tree)
		var requests []Request
		for range 3 {
			_, req := drawing{nodes: len(nodes), classes: 2, count: 5, extras: rapid.Bool().Draw(t, "extras")}.draw(t)
			requests = append(requests, within(req, len(nodes), len(tree.Domains)))
		}
		for range 6 {
			i := rapid.IntRange(0, len(nodes)-1).Draw(t, "changed")
			changed := w.node(t, i)
			changed.Labels = nodes[i].Labels
			changed.Allocatable = changed.Allocatable.Set(gpu, rapid.Int64Range(0, 4).Draw(t, "offers"))
			nodes[i] = changed
			index.Update(i, changed)
			req := requests[rapid.IntRange(0, 2).Draw(t, "request")]
			plan, rejection := index.Solve(req)
			wantPlan, wantRejection := Solve(req, nodes, tree)
			if !reflect.DeepEqual(plan, wantPlan) {
				t.Fatalf("plan %+v, a new index plans %+v", plan, wantPlan)
			}
			if !reflect.DeepEqual(rejection, wantRejection) {
				t.Fatalf("rejection %+v, a new index says %+v", rejection, wantRejection)
			}
		}
	})
}

// within drops what a request says about nodes from number n on, and domains from
// number d on.
func within(req Request, n, d int) Request {
	beyond := func(node int) bool { return node >= n }
	req.Fixed = slices.DeleteFunc(req.Fixed, beyond)
	for c := range req.Classes {
		req.Classes[c].Excluded = slices.DeleteFunc(req.Classes[c].Excluded, beyond)
		if req.Classes[c].Within >= d {
			req.Classes[c].Within = 0
		}
	}
	return req
}

func TestAddingANodeNeverHurts(t *testing.T) {
	w := drawing{nodes: 6, classes: 3, count: 3}
	rapid.Check(t, func(t *rapid.T) {
		nodes, req := w.draw(t)
		plan, _ := Solve(req, nodes, topology.Build(levels, nodes))
		if plan == nil {
			return
		}
		more := append(slices.Clone(nodes), w.node(t, len(nodes)))
		if after, r := Solve(req, more, topology.Build(levels, more)); after == nil {
			t.Fatalf("fits %d nodes, not %d: %+v", len(nodes), len(more), r)
		}
	})
}

func TestShapeDoesNotDependOnNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, req := drawing{nodes: 8, classes: 3, count: 4}.draw(t)
		plan, _ := Solve(req, nodes, topology.Build(levels, nodes))
		renamed := slices.Clone(nodes)
		rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed"))).Shuffle(len(renamed), func(i, j int) {
			renamed[i], renamed[j] = renamed[j], renamed[i]
		})
		for i := range renamed {
			renamed[i].Name = fmt.Sprintf("m%d", i)
		}
		tree := topology.Build(levels, renamed)
		other, _ := Solve(req, renamed, tree)
		if (plan == nil) != (other == nil) {
			t.Fatal("renaming nodes changed whether the gang fits")
		}
		if plan != nil && !slices.Equal(plan.Used, other.Used) {
			t.Fatalf("renaming nodes changed the domains used: %v, %v", plan.Used, other.Used)
		}
		again, _ := Solve(req, renamed, tree)
		if !reflect.DeepEqual(other, again) {
			t.Fatalf("the same case, two plans: %+v, %+v", other, again)
		}
	})
}

// TestRanksAreNeighbours: a ring through the ranks crosses the borders of a level
// no more often than there are domains, and slices lie in one domain each.
func TestRanksAreNeighbours(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, req := drawing{nodes: 8, classes: 1, count: 8, extras: true}.draw(t)
		req.Fixed, req.Classes = nil, req.Classes[:1]
		tree := topology.Build(levels, nodes)
		plan, _ := Solve(req, nodes, tree)
		if plan == nil {
			return
		}
		at := plan.Assign(make([]int, req.Size()))
		for level := range tree.Hosts() + 1 {
			crossings := 0
			for i, n := range at {
				next := at[(i+1)%len(at)]
				if tree.Ancestor(tree.Leaf(n), level) != tree.Ancestor(tree.Leaf(next), level) {
					crossings++
				}
			}
			if most := plan.Used[level]; crossings > most || most == 1 && crossings > 0 {
				t.Fatalf("%d crossings at level %d with %d domains: %v", crossings, level, most, at)
			}
		}
		if s := req.slice(0); s > 1 {
			for i, n := range at {
				first := at[i-i%s]
				if tree.Ancestor(tree.Leaf(n), req.SliceLevel) != tree.Ancestor(tree.Leaf(first), req.SliceLevel) {
					t.Fatalf("rank %d is apart from its slice: %v", i, at)
				}
			}
		}
	})
}

// TestEvenSharesTheNeed: what is asked for is given, no part above its capacity,
// and no part has two units more than another that could take one.
func TestEvenSharesTheNeed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := int32(rapid.IntRange(1, 3).Draw(t, "unit"))
		caps := rapid.SliceOfN(rapid.Int32Range(0, 12), 1, 6).Draw(t, "caps")
		most := int32(0)
		for _, c := range caps {
			most += c / unit
		}
		need := unit * rapid.Int32Range(0, most).Draw(t, "units")
		got := slices.Clone(caps)
		even(got, need, unit)
		sum := int32(0)
		for i, n := range got {
			sum += n
			if n > caps[i] || n%unit != 0 {
				t.Fatalf("part %d of %v gets %d", i, caps, n)
			}
			for j, m := range got {
				if n > m+unit && m+unit <= caps[j] {
					t.Fatalf("%v shared as %v", caps, got)
				}
			}
		}
		if sum != need {
			t.Fatalf("%v shared as %v, need %d", caps, got, need)
		}
	})
}
