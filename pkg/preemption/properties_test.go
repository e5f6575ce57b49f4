package preemption

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/topology"
)

// drawn are clusters of the sizes that are solved in each of the ways.
func drawn(seed uint64) problem {
	r := rand.New(rand.NewPCG(seed, 11))
	switch seed % 4 {
	case 0:
		return eightNodes(r)
	case 1:
		nodes, candidates := full(40+r.IntN(100), 1+r.IntN(20), seed)
		p := occupied(nodes, candidates, int32(1+r.IntN(3)), classOf(1+r.IntN(20), 16, []int64{2, 4, 8}[r.IntN(3)]))
		p.req.Required = r.IntN(3)
		return p
	}
	return small(r)
}

// Never somebody of the same or a higher priority, never a part of a floor, never
// somebody who is not needed.
func TestVictimsAreThoseThatMayGo(t *testing.T) {
	for seed := range uint64(200) {
		p := drawn(seed)
		choice, _ := p.search()
		if choice == nil {
			continue
		}
		for _, v := range choice.Victims {
			c := p.candidates[v.Candidate]
			if c.Priority >= p.options.Priority && !c.Reclaimed {
				t.Errorf("seed %d: a victim of priority %d for %d", seed, c.Priority, p.options.Priority)
			}
			left := len(c.Pods) - len(v.Pods)
			if left > 0 && left < c.Floor || v.Whole != (left == 0 && !c.Surplus) || !slices.IsSorted(v.Pods) {
				t.Errorf("seed %d: %+v leaves %d of a floor of %d", seed, v, left, c.Floor)
			}
		}
		p.checkPlan(t, choice)
		for i := range choice.Victims {
			fewer := *choice
			fewer.Victims = slices.Delete(slices.Clone(choice.Victims), i, i+1)
			if p.fitsWithout(&fewer) {
				t.Errorf("seed %d: victim %+v is not needed", seed, choice.Victims[i])
			}
		}
	}
}

// fitsWithout asks the planner.
func (p problem) fitsWithout(c *Choice) bool {
	list := units(p.candidates, p.options)
	b := newBoard(p.index(), p.req, list, p.options.Budgets)
	var set []int
	for _, v := range c.Victims {
		for u := range list {
			if list[u].candidate == v.Candidate && list[u].whole == v.Whole && (v.Whole || slices.Contains(v.Pods, list[u].pods[0])) {
				set = append(set, u)
			}
		}
	}
	plan, _ := b.index.SolveIf(p.req, b.freed(set))
	return plan != nil
}

// An empty node more never means more victims, where they are known to be the best.
func TestANodeMoreNeverHurts(t *testing.T) {
	compared := 0
	for seed := range uint64(200) {
		p := drawn(seed)
		before, _ := p.search()
		more := p
		more.nodes = append(slices.Clone(p.nodes), nodeOf("zz", "0", "0", 16, 4))
		more.tree = topology.Build(levels, more.nodes)
		after, _ := more.search()
		if before == nil {
			continue
		}
		if after == nil {
			t.Fatalf("seed %d: does not fit with a node more", seed)
		}
		a, b := p.toll(p.selected(before)), p.toll(p.selected(after))
		if compared++; before.Exact && after.Exact && a.less(b) {
			t.Errorf("seed %d: %v with a node more, %v without", seed, b, a)
		}
	}
	if compared < 60 {
		t.Errorf("%d compared: the sample says little", compared)
	}
}

// The same question has the same answer, from an index of whatever history, and what
// candidates are called or in which order they stand makes the victims no dearer.
func TestTheSameAnswerEveryTime(t *testing.T) {
	for seed := range uint64(120) {
		p := drawn(seed)
		first, rejected := p.search()
		x := p.index()
		Search(x, placement.Request{Classes: []placement.Class{classOf(3, 2, 2)}}, p.candidates, Options{Priority: 9, Budgets: p.options.Budgets})
		again, rejectedAgain := Search(x, p.req, p.candidates, p.options)
		if !reflect.DeepEqual(first, again) || !reflect.DeepEqual(rejected, rejectedAgain) {
			t.Fatalf("seed %d: %+v, then %+v", seed, first, again)
		}
		if first == nil || !first.Exact {
			continue
		}
		r := rand.New(rand.NewPCG(seed, 13))
		shuffled := p
		shuffled.candidates = slices.Clone(p.candidates)
		r.Shuffle(len(shuffled.candidates), func(i, j int) {
			shuffled.candidates[i], shuffled.candidates[j] = shuffled.candidates[j], shuffled.candidates[i]
		})
		for i := range shuffled.candidates {
			shuffled.candidates[i].Gang.Name = fmt.Sprint("renamed-", i)
		}
		other, _ := shuffled.search()
		a, b := p.toll(p.selected(first)), shuffled.toll(shuffled.selected(other))
		if other.Exact && a != b {
			t.Fatalf("seed %d: toll %v, and %v in another order", seed, a, b)
		}
	}
}
