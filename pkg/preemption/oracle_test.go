package preemption

import (
	"fmt"
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/topology"
)

const gpu = cluster.Pods + 1

var levels = []topology.Level{{Name: "block", Key: "b"}, {Name: "rack", Key: "r"}}

// problem is a cluster whose nodes are taken by candidates, and a gang that wants in.
type problem struct {
	nodes      []cluster.Node // Free without the candidates' pods
	tree       *topology.Tree
	req        placement.Request
	candidates []Candidate
	options    Options
}

func (p problem) index() *placement.Index { return placement.NewIndex(p.nodes, p.tree) }

func (p problem) search() (*Choice, *placement.Rejection) {
	return Search(p.index(), p.req, p.candidates, p.options)
}

// selection is, by candidate, the pods that go.
type selection [][]int

// toll is what a selection costs in points 1 to 5, but for which surplus members.
type toll [6]int64

func (a toll) less(b toll) bool { return slices.Compare(a[:], b[:]) < 0 }

// oracle tries every selection that the rules allow. It shares nothing with the
// search but the order of what is better.
type oracle struct {
	problem
	going selection
	best  *toll
}

// cheapest is the least toll after which the gang fits; nil if there is none.
func (p problem) cheapest() *toll {
	o := &oracle{problem: p, going: make(selection, len(p.candidates))}
	o.choose(0)
	return o.best
}

func (o *oracle) choose(i int) {
	if i == len(o.candidates) {
		if t := o.toll(o.going); (o.best == nil || t.less(*o.best)) && o.fits(o.going) {
			o.best = &t
		}
		return
	}
	o.choose(i + 1)
	c := o.candidates[i]
	if c.Priority >= o.options.Priority && !c.Reclaimed {
		return
	}
	for bits := 1; bits < 1<<len(c.Pods); bits++ {
		var going []int
		firm := false
		for p := range c.Pods {
			if bits&(1<<p) != 0 {
				going = append(going, p)
				firm = firm || c.Pods[p].Firm
			}
		}
		if len(going) == len(c.Pods) || !firm && len(c.Pods)-len(going) >= max(1, c.Floor) {
			o.going[i] = going
			o.choose(i + 1)
		}
	}
	o.going[i] = nil
}

func (p problem) toll(going selection) toll {
	t := toll{1: -1 << 40}
	gone := make([]int, len(p.options.Budgets))
	for i, list := range going {
		c := p.candidates[i]
		if len(list) == 0 {
			continue
		}
		t[1] = max(t[1], int64(c.Priority))
		if len(list) == len(c.Pods) && !c.Surplus {
			t[2]++
		} else {
			t[3] += int64(len(list))
		}
		for _, pod := range list {
			t[4] += c.Pods[pod].Lost
			t[5]++
			for _, b := range c.Pods[pod].Budgets {
				gone[b]++
			}
		}
	}
	for b, n := range gone {
		t[0] += int64(max(0, n-p.options.Budgets[b]))
	}
	return t
}

// fits says whether some domain of the required level holds the gang once the
// selection is gone: the vectors of counts that its nodes can hold, one by one.
func (p problem) fits(going selection) bool {
	free := make([]cluster.Resources, len(p.nodes))
	for n := range free {
		free[n] = p.nodes[n].Free.Clone()
	}
	for i, list := range going {
		for _, pod := range list {
			n := p.candidates[i].Pods[pod].Node
			free[n] = free[n].Add(p.candidates[i].Pods[pod].Requests)
		}
	}
	for _, d := range p.tree.AtLevel(p.req.Required) {
		if p.req.Required > 0 && !p.tree.Domains[d].Known {
			continue
		}
		if slices.ContainsFunc(p.req.Fixed, func(n int) bool { return p.tree.Ancestor(p.tree.Leaf(n), p.req.Required) != d }) {
			continue
		}
		counts := make([]int, len(p.req.Classes))
		for c := range counts {
			counts[c] = p.req.Classes[c].Count
		}
		var nodes []int
		for n := range p.nodes {
			if p.tree.Ancestor(p.tree.Leaf(n), p.req.Required) == d {
				nodes = append(nodes, n)
			}
		}
		if p.hold(nodes, free, counts, map[string]bool{}) {
			return true
		}
	}
	return false
}

// hold says whether nodes hold counts of each class.
func (p problem) hold(nodes []int, free []cluster.Resources, counts []int, failed map[string]bool) bool {
	if slices.Max(counts) == 0 {
		return true
	}
	key := fmt.Sprint(len(nodes), counts)
	if len(nodes) == 0 || failed[key] {
		return false
	}
	n := nodes[0]
	var fill func(c int, room cluster.Resources, left []int) bool
	fill = func(c int, room cluster.Resources, left []int) bool {
		if c == len(counts) {
			return p.hold(nodes[1:], free, left, failed)
		}
		class := p.req.Classes[c]
		left, room = slices.Clone(left), room.Clone()
		for {
			if fill(c+1, room, left) {
				return true
			}
			if left[c] == 0 || !class.Requests.Fits(room) || class.Eligible != nil && !class.Eligible(n) || slices.Contains(class.Excluded, n) {
				return false
			}
			left[c]--
			room = room.Sub(class.Requests)
		}
	}
	if fill(0, free[n], counts) {
		return true
	}
	failed[key] = true
	return false
}

// selected puts a choice in the oracle's terms.
func (p problem) selected(c *Choice) selection {
	going := make(selection, len(p.candidates))
	for _, v := range c.Victims {
		going[v.Candidate] = v.Pods
	}
	return going
}

// podOf asks for CPU and GPUs on a node.
func podOf(node int, cpu, gpus int64) Pod { return Pod{Node: node, Requests: amounts(cpu, gpus)} }

func amounts(cpu, gpus int64) cluster.Resources {
	return cluster.Resources{}.Set(cluster.CPU, cpu).Set(cluster.Pods, 1).Set(gpu, gpus)
}

func single(name string, priority int32, pod Pod) Candidate {
	return Candidate{Gang: gang.Key{Namespace: "ns", Name: name}, Priority: priority, Floor: 1, Pods: []Pod{pod}}
}

// nodeOf makes an empty node.
func nodeOf(name, block, rack string, cpu, gpus int64) cluster.Node {
	free := cluster.Resources{}.Set(cluster.CPU, cpu).Set(cluster.Pods, 110).Set(gpu, gpus)
	return cluster.Node{Name: name, Labels: map[string]string{"b": block, "r": rack}, Allocatable: free.Clone(), Free: free}
}

// occupied makes a problem of empty nodes and the candidates that run on them.
func occupied(nodes []cluster.Node, candidates []Candidate, priority int32, classes ...placement.Class) problem {
	for _, c := range candidates {
		for _, pod := range c.Pods {
			nodes[pod.Node].Free = nodes[pod.Node].Free.Sub(pod.Requests)
		}
	}
	return problem{
		nodes: nodes, tree: topology.Build(levels, nodes), req: placement.Request{Classes: classes},
		candidates: candidates, options: Options{Priority: priority},
	}
}

func classOf(count int, cpu, gpus int64) placement.Class {
	return placement.Class{Count: count, Requests: amounts(cpu, gpus)}
}
