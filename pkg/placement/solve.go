package placement

import (
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// Solve finds a place for every member of the request, or says why there is
// none; exactly one of the results is not nil. Nodes are sorted by name, the
// tree was built from them. Whoever plans more than once keeps an Index instead.
func Solve(req Request, nodes []cluster.Node, tree *topology.Tree) (*Plan, *Rejection) {
	return NewIndex(nodes, tree).Solve(req)
}

// Solve finds a place for every member of the request, or says why there is
// none; exactly one of the results is not nil.
//
// Nodes that pods should avoid are left out at first and taken in when the gang
// does not fit without them.
func (x *Index) Solve(req Request) (*Plan, *Rejection) {
	if r := x.invalid(req); r != nil {
		return nil, r
	}
	req = x.confined(req)
	key := x.rejectionKey(req)
	if v, known := x.rejected[key]; known && v.risen == x.risen && key != "" {
		return nil, x.explain(req, v.kind)
	}
	defer x.trim()
	if plan := x.plan(req); plan != nil {
		return plan, nil
	}
	kind := x.kindOf(req, key)
	if key != "" {
		if len(x.rejected) >= rememberRejected {
			clear(x.rejected)
		}
		x.rejected[key] = verdict{kind, x.risen, x.altered}
	}
	return nil, x.explain(req, kind)
}

// plan returns the best plan, or nil.
func (x *Index) plan(req Request) *Plan {
	if req.Size() == 0 {
		return x.nothingToPlace(req)
	}
	if x.discouraged > 0 {
		if plan := x.planWith(req, true); plan != nil {
			return plan
		}
	}
	return x.planWith(req, false)
}

func (x *Index) planWith(req Request, sparing bool) *Plan {
	if s := x.shapeOf(req, sparing, x.exactLimit(quickPairs)); s != nil {
		return newSolver(s, req).plan()
	}
	if plan := x.greedy(req, sparing); plan != nil {
		return plan
	}
	if s := x.shapeOf(req, sparing, x.exactLimit(slowPairs)); s != nil {
		return newSolver(s, req).plan()
	}
	return nil
}

// The exact method is used while it weighs about so many pairs of vectors of minor
// counts: first some milliseconds' worth, and more after the other method has found
// nothing.
const (
	quickPairs = 1 << 25
	slowPairs  = 1 << 28
)

// exactLimit is the number of vectors of minor counts that a number of pairs allows:
// a join weighs every vector with every other, and there are some joins for each
// domain above the hosts.
func (x *Index) exactLimit(pairs int) int {
	const joinsPerDomain, least, most = 8, 32, 1 << 12
	joins := joinsPerDomain * (1 + len(x.tree.Domains) - len(x.nodes))
	n := least
	for n < most && 4*n*n*joins <= pairs {
		n *= 2
	}
	return n
}

// nothingToPlace is the plan of a gang that is whole already.
func (x *Index) nothingToPlace(req Request) *Plan {
	plan := &Plan{Domain: max(0, commonOf(x.tree, req.Fixed)), Exact: true}
	x.finish(plan, req)
	return plan
}

// solver plans one request: a shape, and what is special about the request.
type solver struct {
	*shape
	req      Request
	total    cluster.Resources // of what the members ask for
	common   int               // the lowest domain that holds the fixed members; -1 without any
	fixed    map[int]bool      // domains that hold fixed members
	excluded map[int][]int64   // by domain: members by class that must not go there
	own      map[int]*front    // fronts of domains that are special
	ownInner map[int]*inner    // and how they come about
	capacity []int64           // scratch, by class
	banned   map[[2]int]bool   // class, node
}

func newSolver(s *shape, req Request) *solver {
	v := &solver{
		shape: s, req: req, total: req.Total(), common: commonOf(s.x.tree, req.Fixed),
		capacity: make([]int64, len(req.Classes)),
	}
	tree := s.x.tree
	if len(req.Fixed) > 0 {
		v.fixed = map[int]bool{}
		for _, node := range req.Fixed {
			for d := tree.Leaf(node); d >= 0; d = tree.Domains[d].Parent {
				v.fixed[d] = true
			}
		}
	}
	for c, class := range req.Classes {
		for _, node := range class.Excluded {
			v.exclude(c, node)
		}
	}
	if v.fixed != nil || v.excluded != nil {
		v.own, v.ownInner = map[int]*front{}, map[int]*inner{}
	}
	return v
}

// exclude takes a class's slots on a node out of the counts.
func (v *solver) exclude(class, node int) {
	if v.excluded == nil {
		v.excluded, v.banned = map[int][]int64{}, map[[2]int]bool{}
	}
	if v.banned[[2]int{class, node}] {
		return
	}
	v.banned[[2]int{class, node}] = true
	leaf := v.x.tree.Leaf(node)
	n := v.slots[class].at[leaf]
	for d := leaf; d >= 0; d = v.x.tree.Domains[d].Parent {
		if v.excluded[d] == nil {
			v.excluded[d] = make([]int64, len(v.req.Classes))
		}
		v.excluded[d][class] += n
	}
}

// commonOf is the lowest domain that holds all the nodes, -1 for no nodes.
func commonOf(tree *topology.Tree, nodes []int) int {
	common := -1
	for _, node := range nodes {
		if leaf := tree.Leaf(node); common < 0 {
			common = leaf
		} else {
			common = tree.Common(common, leaf)
		}
	}
	return common
}

// count is the number of members of a class that fit in a domain by themselves.
func (v *solver) count(d, class int) int64 {
	n := v.slots[class].at[d]
	if out := v.excluded[d]; out != nil {
		n -= out[class]
	}
	return n
}

// special domains are not as the shape remembers them.
func (v *solver) special(d int) bool { return v.fixed[d] || v.excluded[d] != nil }

// front returns a domain's front.
func (v *solver) front(d int) *front {
	special := v.special(d)
	if special {
		if f := v.own[d]; f != nil {
			return f
		}
	} else if f := v.fronts[d]; f != nil {
		return f
	}
	var f *front
	if node := v.x.tree.Domains[d].Node; node >= 0 {
		for c := range v.capacity {
			v.capacity[c] = v.count(d, c)
		}
		f = v.host(node, v.capacity, v.fixed[d])
	} else {
		f = v.close(d, v.joined(v.inner(d)), v.fixed[d])
	}
	if special {
		v.own[d] = f
	} else {
		v.fronts[d] = f
	}
	return f
}

// inner returns what a domain's children offer.
func (v *solver) inner(d int) *inner {
	known := v.inners[d]
	if v.special(d) {
		known = v.ownInner[d]
	}
	if known != nil {
		return known
	}
	in := v.children(d, v.front)
	if v.special(d) {
		v.ownInner[d] = in
	} else {
		v.inners[d] = in
	}
	return in
}

// choice is how one domain would hold the whole gang.
type choice struct {
	d      int
	cost   cost
	ia, ib int32 // entries of the fronts of its children
}

// plan looks for the lowest level at which some domain holds the gang and takes
// the cheapest such domain. With domains counted widest level first, every
// optimum lies in such a domain.
func (v *solver) plan() *Plan {
	tree := v.x.tree
	for level := tree.Hosts(); level >= v.req.Required; level-- {
		best := choice{d: -1}
		for _, d := range candidates(v.req, tree, v.common, level) {
			if !v.mayHold(d) {
				continue
			}
			way, ok := v.choose(d)
			if ok && (best.d < 0 || way.cost.less(best.cost) || way.cost == best.cost && v.tighter(d, best.d)) {
				best = way
			}
		}
		if best.d >= 0 {
			return v.planIn(best)
		}
	}
	return nil
}

// mayHold is a cheap necessary condition: every class by itself has enough slots
// in the domain, and all together find enough of each resource.
func (v *solver) mayHold(d int) bool {
	for c := range v.req.Classes {
		if v.count(d, c) < int64(v.req.Classes[c].Count) {
			return false
		}
	}
	return len(v.req.Classes) == 1 || v.x.free.cover(v.total, d)
}

// choose is the cheapest way for a domain to hold the whole gang.
func (v *solver) choose(d int) (choice, bool) {
	way := choice{d: d, cost: v.opening(d, v.minors.full(), v.clamp, v.fixed[d])}
	if v.x.tree.Domains[d].Node >= 0 {
		// One class by itself has been looked at already.
		return way, len(v.req.Classes) == 1 || v.front(d).reaching(v.minors.full(), v.clamp) >= 0
	}
	c, ia, ib, ok := v.bestOf(v.inner(d))
	way.cost, way.ia, way.ib = way.cost.plus(c), ia, ib
	return way, ok
}

// tighter reports whether less is free in and around domain a than b.
func (v *solver) tighter(a, b int) bool {
	for a != b && a >= 0 {
		if v.left(a) != v.left(b) {
			return v.left(a) < v.left(b)
		}
		a, b = v.x.tree.Domains[a].Parent, v.x.tree.Domains[b].Parent
	}
	return false
}

// candidates lists the domains of a level that may hold the gang: those that
// hold the fixed members too (common, if any) and, where the gang requires a
// level, stand in a domain of that level that is known by its label.
func candidates(req Request, tree *topology.Tree, common, level int) []int {
	all := tree.AtLevel(level)
	if common >= 0 {
		if tree.Domains[common].Level < level {
			return nil
		}
		all = []int{tree.Ancestor(common, level)}
	}
	if req.Required == 0 {
		return all
	}
	out := make([]int, 0, len(all))
	for _, d := range all {
		if tree.Domains[tree.Ancestor(d, req.Required)].Known {
			out = append(out, d)
		}
	}
	return out
}

// planIn makes the plan for a way to open a domain.
func (v *solver) planIn(way choice) *Plan {
	var hosts []opened
	exact := v.exact
	if v.x.tree.Domains[way.d].Node >= 0 {
		all := make([]int32, len(v.req.Classes))
		for c := range all {
			all[c] = int32(v.req.Classes[c].Count)
		}
		hosts = []opened{{way.d, all}}
	} else {
		in := v.inner(way.d)
		hosts = v.walk(in.a, in.kids[:in.a.n], way.ia, hosts)
		if in.b != nil {
			hosts = v.walk(in.b, in.kids[in.a.n:], way.ib, hosts)
		}
		exact = exact && !in.a.rough && (in.b == nil || !in.b.rough)
	}
	plan := &Plan{Domain: way.d, Exact: exact}
	if !exact {
		plan.Bound = v.x.bound(v.req, v.slots)
	}
	v.spread(plan, way.d, hosts)
	v.x.finish(plan, v.req)
	return plan
}

// collect walks the chosen way from a domain down to the hosts it opens.
func (v *solver) collect(d int, entry int32, hosts []opened) []opened {
	f := v.front(d)
	if entry < f.start[1] && f.entries[entry].cap == 0 {
		return hosts // not opened
	}
	if v.x.tree.Domains[d].Node >= 0 {
		return append(hosts, opened{d, v.capacities(f, entry)})
	}
	in := v.inner(d)
	return v.walk(v.joined(in), in.kids, f.entries[entry].a, hosts)
}

func (v *solver) walk(f *front, kids []int32, entry int32, hosts []opened) []opened {
	switch {
	case f == v.nothing:
		return hosts
	case f.b == nil || len(kids) == 1:
		return v.collect(int(kids[0]), entry, hosts)
	}
	e := &f.entries[entry]
	hosts = v.walk(f.a, kids[:f.a.n], e.a, hosts)
	return v.walk(f.b, kids[f.a.n:], e.b, hosts)
}

// capacities is an entry's capacity by class.
func (v *solver) capacities(f *front, entry int32) []int32 {
	out := make([]int32, len(v.classes))
	out[v.major] = f.entries[entry].cap
	u := 0
	for f.start[u+1] <= entry {
		u++
	}
	for i, class := range v.minors.class {
		out[class] = v.minors.digit(u, i)
	}
	return out
}
