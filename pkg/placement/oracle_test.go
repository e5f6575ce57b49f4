package placement

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// oracle is the dumb way to plan: every vector of counts on every node. It shares
// nothing with the planner but the order of what is better.
type oracle struct {
	req   Request
	nodes []cluster.Node
	tree  *topology.Tree
	at    [][]int // by node, then class
	best  []int64
}

// verdictOf returns what the best placement costs, field by field: whether it
// uses nodes to be avoided, the domains used by level, what is left on the hosts
// and in the racks that it opens. It is nil if there is no placement.
func verdictOf(req Request, nodes []cluster.Node, tree *topology.Tree) []int64 {
	o := &oracle{req: req, nodes: nodes, tree: tree, at: make([][]int, len(nodes))}
	left := make([]int, len(req.Classes))
	for c := range left {
		left[c] = req.Classes[c].Count
	}
	o.node(0, left)
	return o.best
}

func (o *oracle) node(n int, left []int) {
	if n == len(o.nodes) {
		if slices.Max(left) == 0 {
			o.judge()
		}
		return
	}
	o.class(n, 0, make([]int, len(left)), left, o.nodes[n].Free.Clone())
}

func (o *oracle) class(n, c int, counts, left []int, free cluster.Resources) {
	if c == len(counts) {
		if !mayMeet(o.req, counts) {
			return
		}
		rest := slices.Clone(left)
		for i := range rest {
			rest[i] -= counts[i]
		}
		o.at[n] = slices.Clone(counts)
		o.node(n+1, rest)
		return
	}
	class := o.req.Classes[c]
	for k := 0; k <= left[c]; k++ {
		if k > 0 {
			barred := class.Eligible != nil && !class.Eligible(n) || slices.Contains(class.Excluded, n) ||
				class.Within > 0 && o.tree.Ancestor(o.tree.Leaf(n), o.tree.Domains[class.Within].Level) != class.Within
			if barred || !class.Requests.Fits(free) {
				return
			}
			free = free.Clone().Sub(class.Requests)
		}
		counts[c] = k
		o.class(n, c+1, counts, left, free)
		counts[c] = 0
	}
}

// mayMeet reports whether members with these counts by class may share a node.
func mayMeet(req Request, counts []int) bool {
	for group := range 64 {
		n := 0
		for c, k := range counts {
			if req.Classes[c].Apart>>group&1 == 1 {
				n += k
			}
		}
		if n > 1 {
			return false
		}
	}
	return true
}

// judge keeps the placement if it is allowed and better than the best so far.
func (o *oracle) judge() {
	levels := o.tree.Hosts() + 1
	members := make([]map[int][]int, levels)
	for l := range members {
		members[l] = map[int][]int{}
	}
	fixed := map[int]bool{}
	avoid := int64(0)
	for n, counts := range o.at {
		if slices.Max(counts) > 0 && o.nodes[n].Discouraged {
			avoid = 1
		}
		for l := range levels {
			d := o.tree.Ancestor(o.tree.Leaf(n), l)
			if slices.Contains(o.req.Fixed, n) {
				fixed[d] = true
				members[l][d] = slices.Clip(members[l][d])
			}
			if slices.Max(counts) == 0 {
				continue
			}
			if members[l][d] == nil {
				members[l][d] = make([]int, len(counts))
			}
			for c, k := range counts {
				members[l][d][c] += k
			}
		}
	}
	used := make([]int64, levels)
	for l := range levels {
		for _, m := range members[l] {
			if m != nil {
				used[l]++
			}
		}
		for d := range fixed {
			if o.tree.Domains[d].Level == l && members[l][d] == nil {
				used[l]++
			}
		}
	}
	if used[o.req.Required] > 1 {
		return
	}
	if o.req.Required > 0 {
		for n, counts := range o.at {
			at := o.tree.Ancestor(o.tree.Leaf(n), o.req.Required)
			if (slices.Max(counts) > 0 || slices.Contains(o.req.Fixed, n)) && !o.tree.Domains[at].Known {
				return
			}
		}
	}
	if o.req.SliceSize > 1 && !o.sliced(members, used) {
		return
	}
	verdict := append([]int64{avoid}, used...)
	primary := o.req.Total().Primary()
	for _, level := range []int{levels - 1, levels - 2} {
		left := int64(0)
		for d, m := range members[level] {
			if m != nil && level > 0 && !fixed[d] {
				for n := range o.nodes {
					if o.tree.Ancestor(o.tree.Leaf(n), level) == d {
						left += max(0, o.nodes[n].Free.Get(primary))
					}
				}
			}
		}
		verdict = append(verdict, left)
	}
	if o.best == nil || slices.Compare(verdict, o.best) < 0 {
		o.best = verdict
	}
}

// sliced reports whether every domain of the slice level has whole slices, or one
// domain has everything.
func (o *oracle) sliced(members []map[int][]int, used []int64) bool {
	if used[o.req.SliceLevel] == 1 && len(o.req.Fixed) == 0 {
		return true
	}
	for _, m := range members[o.req.SliceLevel] {
		for c, k := range m {
			if o.req.Classes[c].Within == 0 && k%min(o.req.SliceSize, o.req.Classes[c].Count) != 0 {
				return false
			}
		}
	}
	return true
}

// verdictOfPlan is what a plan costs, in the oracle's fields.
func verdictOfPlan(req Request, nodes []cluster.Node, tree *topology.Tree, plan *Plan) []int64 {
	o := &oracle{req: req, nodes: nodes, tree: tree, at: make([][]int, len(nodes))}
	for n := range o.at {
		o.at[n] = make([]int, len(req.Classes))
	}
	for _, share := range plan.Shares {
		o.at[share.Node] = share.Counts
	}
	o.judge()
	return o.best
}

// drawing says what a random case may contain.
type drawing struct {
	nodes, classes, count int
	extras                bool // labels missing, nodes to avoid, fixed, excluded, slices whole and in part
}

// draw makes a cluster of a few nodes and a gang.
func (w drawing) draw(t *rapid.T) ([]cluster.Node, Request) {
	n := rapid.IntRange(1, w.nodes).Draw(t, "nodes")
	nodes := make([]cluster.Node, n)
	for i := range nodes {
		nodes[i] = w.node(t, i)
	}
	req := Request{Required: rapid.IntRange(0, 3).Draw(t, "required")}
	for range rapid.IntRange(1, w.classes).Draw(t, "classes") {
		c := class(rapid.IntRange(1, w.count).Draw(t, "count"),
			int64(rapid.IntRange(0, 4).Draw(t, "c")), int64(rapid.IntRange(0, 3).Draw(t, "g")))
		if w.extras && rapid.IntRange(0, 3).Draw(t, "picky") == 0 {
			barred := rapid.IntRange(0, n-1).Draw(t, "barred")
			c.Eligible, c.Key = func(node int) bool { return node != barred }, fmt.Sprint("not ", barred)
		}
		if w.extras && rapid.IntRange(0, 2).Draw(t, "keeps apart") == 0 {
			c.Apart = rapid.Uint64Range(0, 3).Draw(t, "from")
		}
		if w.extras && rapid.IntRange(0, 3).Draw(t, "refused") == 0 {
			c.Excluded = []int{rapid.IntRange(0, n-1).Draw(t, "excluded")}
		}
		req.Classes = append(req.Classes, c)
	}
	if !w.extras {
		return nodes, req
	}
	extra := rapid.IntRange(0, 3).Draw(t, "extra")
	if extra != 1 {
		for range rapid.IntRange(1, 2).Draw(t, "fixed") {
			req.Fixed = append(req.Fixed, rapid.IntRange(0, n-1).Draw(t, "at"))
		}
	}
	if extra > 0 {
		req.SliceSize, req.SliceLevel = 2, rapid.IntRange(1, 3).Draw(t, "slice level")
		for c := range req.Classes {
			if k := &req.Classes[c].Count; *k > 2 {
				*k -= *k % 2
			}
		}
	}
	if extra == 3 { // a slice that is there in part
		tree, rest := topology.Build(levels, nodes), req.Classes[0]
		rest.Count = 1
		rest.Within = tree.Ancestor(tree.Leaf(req.Fixed[0]), req.SliceLevel)
		req.Classes = append(req.Classes, rest)
	}
	return nodes, req
}

func (w drawing) node(t *rapid.T, i int) cluster.Node {
	n := node(fmt.Sprintf("n%d", i),
		fmt.Sprint(rapid.IntRange(0, 1).Draw(t, "block")), fmt.Sprint(rapid.IntRange(0, 1).Draw(t, "rack")),
		int64(rapid.IntRange(-1, 8).Draw(t, "cpu")), int64(rapid.IntRange(0, 4).Draw(t, "gpus")))
	n.Allocatable = cluster.Resources{}.Set(cluster.CPU, 8).Set(cluster.Pods, 110).Set(gpu, 4)
	if w.extras {
		switch rapid.IntRange(0, 9).Draw(t, "odd") {
		case 0:
			n.Discouraged = true
		case 1:
			delete(n.Labels, "r")
		}
	}
	return n
}

// fits finds out by itself, without costs, whether some domain of the required
// level holds the gang: the vectors of counts that the nodes so far can hold.
func fits(req Request, nodes []cluster.Node, tree *topology.Tree) bool {
	for _, d := range tree.AtLevel(req.Required) {
		if req.Required > 0 && !tree.Domains[d].Known {
			continue
		}
		held := map[string][]int{fmt.Sprint(make([]int, len(req.Classes))): make([]int, len(req.Classes))}
		for n := range nodes {
			if tree.Ancestor(tree.Leaf(n), req.Required) == d {
				held = heldWith(req, nodes[n], held)
			}
		}
		full := make([]int, len(req.Classes))
		for c := range full {
			full[c] = req.Classes[c].Count
		}
		if held[fmt.Sprint(full)] != nil {
			return true
		}
	}
	return false
}

func heldWith(req Request, n cluster.Node, held map[string][]int) map[string][]int {
	out := map[string][]int{}
	var add func(v []int, c int, free cluster.Resources)
	add = func(v []int, c int, free cluster.Resources) {
		if c == len(v) {
			out[fmt.Sprint(v)] = v
			return
		}
		add(v, c+1, free)
		if v[c] < req.Classes[c].Count && req.Classes[c].Requests.Fits(free) {
			more := slices.Clone(v)
			more[c]++
			add(more, c, free.Clone().Sub(req.Classes[c].Requests))
		}
	}
	for _, v := range held {
		add(v, 0, n.Free)
	}
	return out
}
