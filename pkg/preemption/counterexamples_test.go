package preemption

import (
	"fmt"
	"slices"
	"testing"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
)

// victimNames lists who goes: "name" whole, "name/2" for members of a surplus.
func (p problem) victimNames(c *Choice) []string {
	var names []string
	for _, v := range c.Victims {
		name := p.candidates[v.Candidate].Gang.Name
		if v.Whole {
			names = append(names, name)
			continue
		}
		for _, pod := range v.Pods {
			names = append(names, fmt.Sprintf("%s/%d", name, pod))
		}
	}
	return names
}

func gangOf(name string, priority int32, floor int, pods ...Pod) Candidate {
	return Candidate{Gang: gang.Key{Namespace: "ns", Name: name}, Priority: priority, Floor: floor, Pods: pods}
}

func protected(c Candidate, budgets ...int) Candidate {
	for i := range c.Pods {
		c.Pods[i].Budgets = budgets
	}
	return c
}

func costing(c Candidate, gpuSeconds int64) Candidate {
	for i := range c.Pods {
		c.Pods[i].Lost = gpuSeconds
	}
	return c
}

func TestWhoGoes(t *testing.T) {
	node := func(name string) cluster.Node { return nodeOf(name, "b0", "r0", 64, 8) }
	rack := func(name, rack string) cluster.Node { return nodeOf(name, "b0", rack, 64, 8) }
	var eight []Candidate
	for i := range 8 {
		eight = append(eight, single(fmt.Sprint("one-", i), 0, podOf(1, 1, 1)))
	}
	tests := []struct {
		name       string
		nodes      []cluster.Node
		candidates []Candidate
		class      placement.Class
		required   int
		budgets    []int
		want       []string
	}{
		{
			name: "one pod of 8 GPUs rather than eight of one", nodes: []cluster.Node{node("n0"), node("n1")},
			candidates: append([]Candidate{single("eight", 0, podOf(0, 8, 8))}, eight...),
			class:      classOf(1, 8, 8), want: []string{"eight"},
		},
		{
			name: "one GPU on each of four nodes is no room for four", nodes: []cluster.Node{node("n0"), node("n1"), node("n2"), node("n3")},
			candidates: []Candidate{
				gangOf("thin", 0, 4, podOf(0, 1, 5), podOf(1, 1, 5), podOf(2, 1, 5), podOf(3, 1, 5)),
				single("a", 0, podOf(0, 1, 3)), single("b", 0, podOf(1, 1, 3)), single("c", 0, podOf(2, 1, 3)), single("d", 0, podOf(3, 1, 3)),
			},
			class: classOf(1, 1, 6), want: []string{"thin", "a"},
		},
		{
			name: "victims in the rack that the gang needs", nodes: []cluster.Node{rack("n0", "r0"), rack("n1", "r0"), rack("n2", "r1"), rack("n3", "r1")},
			candidates: []Candidate{
				gangOf("across", 0, 2, podOf(0, 8, 8), podOf(2, 8, 8)), // one victim, half a rack in each
				single("a", 0, podOf(1, 8, 8)), single("b", 0, podOf(3, 4, 4)), single("c", 0, podOf(3, 4, 4)),
			},
			class: classOf(2, 8, 8), required: 2, want: []string{"across", "a"},
		},
		{
			name: "the lowest priority, though it costs more", nodes: []cluster.Node{node("n0"), node("n1")},
			candidates: []Candidate{single("high", 2, podOf(0, 8, 8)), single("low-1", 1, podOf(1, 4, 4)), single("low-2", 1, podOf(1, 4, 4))},
			class:      classOf(1, 8, 8), want: []string{"low-1", "low-2"},
		},
		{
			name: "no budget is violated, though the priority is higher", nodes: []cluster.Node{node("n0"), node("n1")},
			candidates: []Candidate{protected(single("low", 1, podOf(0, 8, 8)), 0), single("high", 2, podOf(1, 8, 8))},
			class:      classOf(1, 8, 8), budgets: []int{0}, want: []string{"high"},
		},
		{
			name: "a budget that two may not use together", nodes: []cluster.Node{node("n0"), node("n1")},
			candidates: []Candidate{
				protected(single("a", 0, podOf(0, 4, 4)), 0), protected(single("b", 0, podOf(0, 4, 4)), 0),
				single("c", 0, podOf(1, 3, 3)), single("d", 0, podOf(1, 3, 3)), single("e", 0, podOf(1, 2, 2)),
			},
			class: classOf(1, 8, 8), budgets: []int{1}, want: []string{"c", "d", "e"},
		},
		{
			name: "all the surplus before a whole gang, the last members first", nodes: []cluster.Node{node("n0"), node("n1")},
			candidates: []Candidate{
				gangOf("rigid", 0, 1, podOf(0, 8, 8)),
				gangOf("elastic", 0, 2, podOf(1, 2, 2), podOf(1, 2, 2), podOf(1, 2, 2), podOf(1, 2, 2)),
			},
			class: classOf(1, 4, 4), want: []string{"elastic/2", "elastic/3"},
		},
		{
			name: "an elastic gang has no more than its surplus", nodes: []cluster.Node{node("n0")},
			candidates: []Candidate{gangOf("elastic", 0, 2, podOf(0, 2, 2), podOf(0, 2, 2), podOf(0, 2, 2), podOf(0, 2, 2))},
			class:      classOf(1, 6, 6), want: []string{"elastic"},
		},
		{
			name: "the least work lost", nodes: []cluster.Node{node("n0"), node("n1"), node("n2")},
			candidates: []Candidate{
				costing(single("old", 0, podOf(0, 8, 8)), 9000), costing(single("young", 0, podOf(1, 8, 8)), 60), costing(single("older", 0, podOf(2, 8, 8)), 90000),
			},
			class: classOf(1, 8, 8), want: []string{"young"},
		},
		{
			name: "what is free already is used", nodes: []cluster.Node{node("n0"), node("n1"), node("n2")},
			candidates: []Candidate{single("full", 0, podOf(0, 8, 8)), single("half", 0, podOf(1, 4, 4)), costing(single("busy", 0, podOf(2, 4, 4)), 10)},
			class:      classOf(3, 4, 4), want: []string{"half"},
		},
		{
			name: "nobody, where it fits", nodes: []cluster.Node{node("n0")},
			candidates: []Candidate{single("half", 0, podOf(0, 4, 4))}, class: classOf(1, 4, 4),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := occupied(tt.nodes, tt.candidates, 9, tt.class)
			p.req.Required, p.options.Budgets = tt.required, tt.budgets
			choice, rejection := p.search()
			if rejection != nil {
				t.Fatalf("rejected: %+v", rejection)
			}
			if got := p.victimNames(choice); !slices.Equal(got, tt.want) {
				t.Errorf("victims %v, want %v", got, tt.want)
			}
			if !choice.Exact {
				t.Error("is not known to be the best")
			}
			p.checkPlan(t, choice)
		})
	}
}

// Who would lose a place for nothing keeps it, and the answer says what would be
// missing even then.
func TestNobodyGoesInVain(t *testing.T) {
	nodes := []cluster.Node{nodeOf("n0", "b0", "r0", 64, 8), nodeOf("n1", "b0", "r1", 64, 8)}
	p := occupied(nodes, []Candidate{
		single("low", 0, podOf(0, 8, 8)), single("peer", 5, podOf(1, 8, 4)),
	}, 5, classOf(2, 8, 8))
	choice, rejection := p.search()
	if choice != nil || rejection == nil || rejection.Kind != placement.DoesNotFit {
		t.Fatalf("got %+v, %+v", choice, rejection)
	}
	// Without the pod of lower priority a node is free; the other has four GPUs.
	if m := rejection.Missing[0]; m.Need != 16 || m.Free != 8 {
		t.Errorf("%d of %d GPUs are there without the victims, want 8 of 16", m.Free, m.Need)
	}
}

// Reclaimed room goes back whatever the priority of who has it.
func TestReclaimedWhateverThePriority(t *testing.T) {
	nodes := []cluster.Node{nodeOf("n0", "b0", "r0", 64, 8), nodeOf("n1", "b0", "r1", 64, 8)}
	borrower := single("borrower", 7, podOf(1, 8, 8))
	borrower.Reclaimed = true
	p := occupied(nodes, []Candidate{single("owner", 7, podOf(0, 8, 8)), borrower}, 0, classOf(1, 8, 8))
	choice, rejection := p.search()
	if rejection != nil || !slices.Equal(p.victimNames(choice), []string{"borrower"}) {
		t.Errorf("got %+v, %+v", choice, rejection)
	}
}

// Groups of consecutive ranks that have to share a rack are beyond the knapsack: the
// victims are found by trying and are all needed.
func TestSlicesAreFoundByTrying(t *testing.T) {
	var nodes []cluster.Node
	var candidates []Candidate
	for i := range 4 {
		nodes = append(nodes, nodeOf(fmt.Sprint("n", i), "b0", fmt.Sprint("r", i/2), 64, 8))
		candidates = append(candidates, single(fmt.Sprint("c", i), 0, podOf(i, 8, 8)))
	}
	p := occupied(nodes, candidates, 1, classOf(2, 8, 8))
	p.req.SliceSize, p.req.SliceLevel = 2, 2
	choice, rejection := p.search()
	if rejection != nil || len(choice.Victims) != 2 || choice.Exact {
		t.Fatalf("got %+v, %+v", choice, rejection)
	}
	p.checkPlan(t, choice)
}
