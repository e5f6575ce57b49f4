package preemption

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
)

// eightNodes draws nodes of 8 GPUs with some fifty pods, a third of the jobs gangs
// that lie over several nodes.
func eightNodes(r *rand.Rand) problem {
	nodes := make([]cluster.Node, 8)
	free := make([]cluster.Resources, len(nodes))
	for i := range nodes {
		nodes[i] = nodeOf(fmt.Sprint("n", i), "b", fmt.Sprint(i/4), 64, 8)
		free[i] = nodes[i].Free.Clone()
	}
	var candidates []Candidate
	for range 60 {
		size := 1
		if r.IntN(3) == 0 {
			size += r.IntN(6)
		}
		c := Candidate{Gang: gang.Key{Name: fmt.Sprint(len(candidates))}, Priority: int32(r.IntN(2)), Floor: size - r.IntN(1+size/2)}
		like := amounts(int64(1+r.IntN(8)), int64(1+r.IntN(4)))
		for range size {
			if node := r.IntN(len(nodes)); like.Fits(free[node]) {
				free[node] = free[node].Sub(like)
				c.Pods = append(c.Pods, Pod{Node: node, Requests: like, Lost: int64(r.IntN(100))})
			}
		}
		candidates = append(candidates, c)
	}
	classes := []placement.Class{classOf(1+r.IntN(8), int64(4+r.IntN(8)), int64(1+r.IntN(8)))}
	if r.IntN(3) == 0 {
		classes = append(classes, classOf(1, 16, int64(r.IntN(2))))
	}
	p := occupied(nodes, candidates, 5, classes...)
	p.req.Required = []int{0, 0, 2}[r.IntN(3)]
	return p
}

// Eight nodes are small: the optimum is found and known to be one.
func TestEightNodesAreSolvedExactly(t *testing.T) {
	victims := 0
	for seed := range uint64(300) {
		p := eightNodes(rand.New(rand.NewPCG(seed, 3)))
		choice, _ := p.search()
		if choice == nil {
			continue
		}
		if victims += len(choice.Victims); !choice.Exact {
			t.Errorf("seed %d: %v is not known to be the best", seed, choice.Victims)
		}
	}
	if victims < 300 {
		t.Errorf("%d victims: the sample says little", victims)
	}
}
