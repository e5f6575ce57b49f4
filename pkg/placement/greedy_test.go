package placement

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// TestGreedyBesideExact plans 300 mixed gangs both ways, on clusters half full.
func TestGreedyBesideExact(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	missed, same, more, fits := 0, make([]int, 4), make([]int, 4), 0
	for range 300 {
		nodes := make([]cluster.Node, 24)
		for i := range nodes {
			nodes[i] = node(fmt.Sprintf("n%02d", i), fmt.Sprint(i/12), fmt.Sprint(i/4), rng.Int63n(65)*1000, rng.Int63n(9))
		}
		var req Request
		for range 3 {
			req.Classes = append(req.Classes, class(1+rng.Intn(6), rng.Int63n(17)*1000, rng.Int63n(5)))
		}
		index := NewIndex(nodes, topology.Build(levels, nodes))
		exact, _ := index.Solve(req)
		greedy := index.greedy(req, false)
		if exact == nil {
			if greedy != nil {
				t.Fatalf("a plan where there is none: %+v", greedy)
			}
			continue
		}
		if !exact.Exact {
			t.Fatal("the case is too large for this test")
		}
		fits++
		if greedy == nil {
			missed++
			continue
		}
		check(t, req, nodes, greedy)
		if slices.Compare(greedy.Used, exact.Used) < 0 {
			t.Fatalf("exact uses %v, greedy only %v", exact.Used, greedy.Used)
		}
		for l := range same {
			if slices.Equal(greedy.Used[:l+1], exact.Used[:l+1]) {
				same[l]++
			}
			more[l] += max(0, greedy.Used[l]-exact.Used[l])
		}
	}
	t.Logf("of %d that fit %d missed; as good down to each level: %v; domains more in sum: %v", fits, missed, same, more)
	if missed > 0 || same[1] < fits || same[2]*100 < fits*94 || same[3]*100 < fits*70 {
		t.Error("greedy misses some, needs more blocks, more racks in over 6 %, or more hosts in over 30 % of the cases")
	}
}
