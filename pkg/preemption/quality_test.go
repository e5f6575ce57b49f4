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

// Thirty-two times the work finds answers that are hardly better on clusters that are too
// large to be solved exactly.
func TestMoreWorkHardlyHelps(t *testing.T) {
	var sum, best int64
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 5))
		nodes, candidates := full(100+r.IntN(100), 4+r.IntN(28), seed)
		p := occupied(nodes, candidates, 3, classOf(4+r.IntN(32), 16, []int64{2, 4, 8}[r.IntN(3)]))
		p.req.Required = r.IntN(3)
		units := units(p.candidates, p.options)
		victims := func(limit int) int64 {
			b := newBoard(p.index(), p.req, units, nil)
			b.limit = limit
			answer, _ := b.search()
			return (answer.price[whole] + answer.price[surplus]) / shares
		}
		n := victims(maxWork)
		sum, best = sum+n, best+min(n, victims(32*maxWork))
	}
	if sum*10 > best*11 {
		t.Errorf("%d victims, where more work finds %d: over 1.10 times as many", sum, best)
	}
}
