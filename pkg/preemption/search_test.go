package preemption

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
)

// small draws a cluster that is small enough to try everything.
func small(r *rand.Rand) problem {
	nodes := make([]cluster.Node, 1+r.IntN(6))
	for i := range nodes {
		nodes[i] = nodeOf(fmt.Sprint("n", i), fmt.Sprint(r.IntN(2)), fmt.Sprint(r.IntN(2)), 4+int64(r.IntN(5)), int64(1+r.IntN(4)))
		if r.IntN(8) == 0 {
			delete(nodes[i].Labels, "r")
		}
	}
	budgets := make([]int, r.IntN(3))
	for b := range budgets {
		budgets[b] = r.IntN(3)
	}
	free := make([]cluster.Resources, len(nodes))
	for i := range nodes {
		free[i] = nodes[i].Free.Clone()
	}
	var candidates []Candidate
	total := 0
	for range 5 + r.IntN(6) {
		c := Candidate{Gang: gang.Key{Namespace: "ns", Name: fmt.Sprint(len(candidates))}, Priority: int32(r.IntN(3)), Reclaimed: r.IntN(12) == 0}
		like := amounts(int64(r.IntN(3)), int64(r.IntN(3)))
		for range 1 + r.IntN(1+r.IntN(4)) {
			pod := Pod{Node: r.IntN(len(nodes)), Requests: like, Firm: r.IntN(6) == 0}
			if r.IntN(2) == 0 {
				pod.Lost = int64(r.IntN(4))
			}
			if len(budgets) > 0 && r.IntN(3) == 0 {
				pod.Budgets = []int{r.IntN(len(budgets))}
			}
			if like.Fits(free[pod.Node]) && total < 12 {
				free[pod.Node] = free[pod.Node].Sub(like)
				c.Pods = append(c.Pods, pod)
				total++
			}
		}
		c.Floor = r.IntN(len(c.Pods) + 2)
		candidates = append(candidates, c)
	}
	classes := []placement.Class{classOf(1+r.IntN(4), int64(r.IntN(3)), int64(1+r.IntN(2)))}
	if r.IntN(3) == 0 {
		classes = append(classes, classOf(1+r.IntN(2), int64(r.IntN(5)), int64(r.IntN(2))))
	}
	if r.IntN(6) == 0 {
		barred := r.IntN(len(nodes))
		classes[0].Eligible, classes[0].Key = func(n int) bool { return n != barred }, fmt.Sprint("not ", barred)
	}
	p := occupied(nodes, candidates, int32(1+r.IntN(4)), classes...)
	p.req.Required = max(0, r.IntN(6)-2)
	p.options.Budgets = budgets
	if r.IntN(6) == 0 {
		p.req.Fixed = []int{r.IntN(len(nodes))}
	}
	for i := range p.candidates {
		if c := &p.candidates[i]; r.IntN(8) == 0 {
			c.Surplus, c.Floor = true, 0
			for k := range c.Pods {
				c.Pods[k].Firm = false
			}
		}
	}
	return p
}

func TestVictimsAreWhatTryingEverythingFinds(t *testing.T) {
	free, evicted, never := 0, 0, 0
	for seed := range uint64(7000) {
		p := small(rand.New(rand.NewPCG(seed, 1)))
		choice, rejection := p.search()
		best := p.cheapest()
		switch {
		case (best == nil) != (choice == nil) || (choice == nil) != (rejection != nil):
			t.Fatalf("seed %d: %+v, %+v, want a toll of %v\n%+v", seed, choice, rejection, best, p)
		case best == nil:
			never++
			continue
		case len(choice.Victims) == 0:
			free++
		default:
			evicted++
		}
		going := p.selected(choice)
		if got := p.toll(going); got != *best || !choice.Exact {
			t.Fatalf("seed %d: toll %v (exact %t), the least is %v\n%v of %+v\n%+v", seed, got, choice.Exact, *best, choice.Victims, p.candidates, p.req)
		}
		if int64(choice.Violations) != p.toll(going)[0] {
			t.Fatalf("seed %d: %d violations, are %d", seed, choice.Violations, p.toll(going)[0])
		}
		p.checkPlan(t, choice)
	}
	t.Logf("%d without victims, %d with, %d that never fit", free, evicted, never)
	if evicted < 2000 || never < 200 {
		t.Error("the sample says little")
	}
}

// checkPlan fails unless all members have room once the victims are gone.
func (p problem) checkPlan(t *testing.T, c *Choice) {
	t.Helper()
	free := make([]cluster.Resources, len(p.nodes))
	for n := range free {
		free[n] = p.nodes[n].Free.Clone()
	}
	for _, v := range c.Victims {
		for _, pod := range v.Pods {
			at := p.candidates[v.Candidate].Pods[pod]
			free[at.Node] = free[at.Node].Add(at.Requests)
		}
	}
	placed := make([]int, len(p.req.Classes))
	for _, share := range c.Plan.Shares {
		for class, n := range share.Counts {
			placed[class] += n
			for range n {
				if !p.req.Classes[class].Requests.Fits(free[share.Node]) {
					t.Fatalf("node %d is over-committed by %v", share.Node, c.Plan.Shares)
				}
				free[share.Node] = free[share.Node].Sub(p.req.Classes[class].Requests)
			}
		}
	}
	for class, n := range placed {
		if n != p.req.Classes[class].Count {
			t.Fatalf("%d members of class %d are placed, want %d", n, class, p.req.Classes[class].Count)
		}
	}
}
