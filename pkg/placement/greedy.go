package placement

import (
	"cmp"
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// tries is the number of domains of a level that the greedy method looks into.
const tries = 8

// greedy serves gangs of so many different members that the exact method would
// need too long: it places one class after the other, each exactly and close to
// those before it, in some orders, and then tries to do with fewer domains. Its
// plans are valid but may use more domains than needed.
func (x *Index) greedy(req Request, sparing bool) *Plan {
	counts := make([]*slots, len(req.Classes))
	for c, class := range req.Classes {
		counts[c] = x.slotsOf(class, sparing)
	}
	total := req.Total()
	primary := total.Primary()
	g := &greedySearch{x: x, req: req, sparing: sparing, orders: orders(req)}
	for level := x.tree.Hosts(); level >= req.Required; level-- {
		var domains []int
		for _, d := range candidates(req, x.tree, commonOf(x.tree, req.Fixed), level) {
			if x.free.cover(total, d) && holdsEach(req, counts, d) {
				domains = append(domains, d)
			}
		}
		slices.SortStableFunc(domains, func(a, b int) int {
			return cmp.Compare(x.free.of(primary, a), x.free.of(primary, b))
		})
		var best *Plan
		for _, d := range domains[:min(len(domains), tries)] {
			best = better(best, g.on(x.NodesIn(d)))
		}
		if best != nil {
			best = g.improve(best)
			best.Bound = x.bound(req, counts)
			return best
		}
	}
	return nil
}

// better is the plan that uses fewer domains, the widest level first; nil is none.
func better(a, b *Plan) *Plan {
	if a == nil || b != nil && slices.Compare(b.Used, a.Used) < 0 {
		return b
	}
	return a
}

// NodesIn lists the nodes of some domains, ascending.
func (x *Index) NodesIn(domains ...int) []int {
	var nodes []int
	for _, d := range domains {
		x.eachNode(d, func(node int) bool {
			nodes = append(nodes, node)
			return true
		})
	}
	slices.Sort(nodes)
	return nodes
}

// holdsEach is a necessary condition: a domain has enough slots for every class by itself.
func holdsEach(req Request, counts []*slots, d int) bool {
	for c, class := range req.Classes {
		if counts[c].at[d] < int64(class.Count) {
			return false
		}
	}
	return true
}

// bound is a number of domains, by level, that no placement goes below: what
// each class by itself needs in slots, and all together in each resource.
func (x *Index) bound(req Request, counts []*slots) []int {
	bound := make([]int, x.tree.Hosts()+1)
	raise := func(need int64, have []int64) {
		for level := range bound {
			bound[level] = max(bound[level], fewest(need, have, x.tree.AtLevel(level)))
		}
	}
	for c, class := range req.Classes {
		raise(int64(class.Count), counts[c].at)
	}
	for resource, need := range req.Total() {
		if resource < len(x.free.in) && x.free.vasts[resource] == 0 {
			raise(need, x.free.in[resource])
		}
	}
	return bound
}

// fewest is the number of domains, those with the most first, that have need together.
func fewest(need int64, have []int64, domains []int) int {
	at := make([]int64, 0, len(domains))
	for _, d := range domains {
		at = append(at, have[d])
	}
	slices.SortFunc(at, func(a, b int64) int { return cmp.Compare(b, a) })
	n := 0
	for n < len(at) && need > 0 {
		need -= at[n]
		n++
	}
	return n
}

// greedySearch is the greedy method at work on one request.
type greedySearch struct {
	x       *Index
	req     Request
	sparing bool
	orders  [][]int // of the classes
}

// on is the best plan on some of the nodes that an order of classes gives, or nil.
func (g *greedySearch) on(places []int) *Plan {
	var best *Plan
	for _, order := range g.orders {
		best = better(best, g.inOrder(places, order))
	}
	return best
}

// maxDropped is the number of nodes that improve plans on in all its tries.
const maxDropped = 1 << 15

// improve leaves out one used domain after the other, the widest level first and
// of each the one with the fewest members, as long as the others can take them.
func (g *greedySearch) improve(plan *Plan) *Plan {
	planned := 0
	for level := 1; level <= g.x.tree.Hosts(); level++ {
		for improved := true; improved; {
			improved = false
			used := g.usedAt(plan, level)
			for i := range used {
				nodes := g.x.NodesIn(slices.Concat(used[:i], used[i+1:])...)
				if planned += len(nodes); planned > maxDropped {
					return plan
				}
				if next := better(plan, g.on(nodes)); next != plan {
					plan, improved = next, true
					break
				}
			}
		}
	}
	return plan
}

// usedAt lists the domains of a level that a plan uses, those with the fewest
// members first; none where they hold fixed members or there is but one.
func (g *greedySearch) usedAt(plan *Plan, level int) []int {
	members := map[int]int{}
	var used []int
	for _, share := range plan.Shares {
		d := g.x.tree.Ancestor(g.x.tree.Leaf(share.Node), level)
		if members[d] == 0 {
			used = append(used, d)
		}
		members[d] += share.size()
	}
	if len(used) < 2 || len(g.req.Fixed) > 0 {
		return nil
	}
	slices.SortStableFunc(used, func(a, b int) int { return members[a] - members[b] })
	return used
}

// inOrder places one class after the other on some of the nodes, or returns nil.
// It works on a cluster of these nodes alone.
func (g *greedySearch) inOrder(places, order []int) *Plan {
	x, req := g.x, g.req
	nodes := make([]cluster.Node, len(places))
	local := map[int]int{}
	for i, node := range places {
		nodes[i] = x.nodes[node]
		local[node] = i
	}
	part := NewIndex(nodes, topology.Build(x.tree.Levels(), nodes))
	counts := make([][]int, len(nodes))
	var fixed []int
	for _, node := range req.Fixed {
		fixed = append(fixed, local[node])
	}
	for _, c := range order {
		one := req.only(c, places, local)
		one.Fixed = fixed
		for i := range counts {
			if req.apartFrom(c, counts[i]) {
				one.Classes[0].Excluded = append(one.Classes[0].Excluded, i)
			}
		}
		plan := part.planWith(one, g.sparing)
		if plan == nil {
			return nil
		}
		for _, s := range plan.Shares {
			if counts[s.Node] == nil {
				counts[s.Node] = make([]int, len(req.Classes))
				fixed = append(fixed, s.Node)
			}
			counts[s.Node][c] += s.Counts[0]
			node := part.Node(s.Node)
			node.Free = node.Free.Clone().Sub(addTimes(nil, one.Classes[0].Requests, s.Counts[0]))
			part.Update(s.Node, node)
		}
	}
	plan := &Plan{}
	for i := range counts {
		if counts[i] != nil {
			plan.Shares = append(plan.Shares, Share{Node: places[i], Counts: counts[i]})
		}
	}
	plan.Domain = x.lowest(plan, req)
	x.finish(plan, req)
	return plan
}

// apartFrom reports whether a class keeps apart from members of other classes, given
// their counts on a node; nil for none.
func (r Request) apartFrom(c int, counts []int) bool {
	for other, n := range counts {
		if n > 0 && other != c && r.Classes[other].Apart&r.Classes[c].Apart != 0 {
			return true
		}
	}
	return false
}

// lowest is the lowest domain that holds a plan's members and the fixed ones.
func (x *Index) lowest(plan *Plan, req Request) int {
	nodes := slices.Clone(req.Fixed)
	for _, share := range plan.Shares {
		nodes = append(nodes, share.Node)
	}
	return commonOf(x.tree, nodes)
}

// only is the request for one of the classes on some of the nodes; places are
// their numbers in the whole, local the other way round.
func (r Request) only(c int, places []int, local map[int]int) Request {
	class := r.Classes[c]
	one := Class{Requests: class.Requests, Count: class.Count, Key: class.Key, Apart: class.Apart}
	if class.Eligible != nil {
		one.Eligible = func(node int) bool { return class.Eligible(places[node]) }
	}
	for _, node := range class.Excluded {
		if i, here := local[node]; here {
			one.Excluded = append(one.Excluded, i)
		}
	}
	return Request{Classes: []Class{one}, SliceSize: r.slice(c), SliceLevel: r.SliceLevel}
}

// orders are those in which the classes are placed: the most demanding first, by
// the primary resource, by CPU and by memory.
func orders(req Request) [][]int {
	var out [][]int
	for _, first := range []int{req.Total().Primary(), cluster.CPU, cluster.Memory} {
		order := make([]int, len(req.Classes))
		for c := range order {
			order[c] = c
		}
		slices.SortStableFunc(order, func(i, j int) int {
			a, b := req.Classes[i].Requests, req.Classes[j].Requests
			return cmp.Or(cmp.Compare(b.Get(first), a.Get(first)),
				cmp.Compare(b.Get(cluster.CPU), a.Get(cluster.CPU)), cmp.Compare(b.Get(cluster.Memory), a.Get(cluster.Memory)))
		})
		if !slices.ContainsFunc(out, func(known []int) bool { return slices.Equal(known, order) }) {
			out = append(out, order)
		}
	}
	return out
}
