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
// need too long: it places one class after the other, the most demanding first,
// each exactly and close to those before it. Its plans are valid but may use more
// domains than needed.
func (x *Index) greedy(req Request, sparing bool) *Plan {
	counts := make([]*slots, len(req.Classes))
	for c, class := range req.Classes {
		counts[c] = x.slotsOf(class, sparing)
	}
	total := req.Total()
	primary := total.Primary()
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
		for _, d := range domains[:min(len(domains), tries)] {
			if plan := x.greedyIn(req, sparing, d); plan != nil {
				plan.Bound = x.bound(req, counts)
				return plan
			}
		}
	}
	return nil
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

// greedyIn places the whole request inside one domain, or returns nil. It works
// on a cluster of that domain's nodes alone.
func (x *Index) greedyIn(req Request, sparing bool, d int) *Plan {
	var places []int // of the domain's nodes in the index
	x.eachNode(d, func(node int) bool {
		places = append(places, node)
		return true
	})
	slices.Sort(places)
	nodes := make([]cluster.Node, len(places))
	local := map[int]int{}
	for i, node := range places {
		nodes[i] = x.nodes[node]
		local[node] = i
	}
	part := NewIndex(nodes, topology.Build(x.tree.Levels(), nodes))
	shares := map[int]*Share{}
	var fixed []int
	for _, node := range req.Fixed {
		fixed = append(fixed, local[node])
	}
	for _, c := range byDemand(req) {
		one := req.only(c, places, local)
		one.Fixed = fixed
		plan := part.planWith(one, sparing)
		if plan == nil {
			return nil
		}
		for _, s := range plan.Shares {
			share := shares[s.Node]
			if share == nil {
				share = &Share{Node: places[s.Node], Counts: make([]int, len(req.Classes))}
				shares[s.Node] = share
				fixed = append(fixed, s.Node)
			}
			share.Counts[c] += s.Counts[0]
			node := part.Node(s.Node)
			node.Free = node.Free.Clone().Sub(addTimes(nil, one.Classes[0].Requests, s.Counts[0]))
			part.Update(s.Node, node)
		}
	}
	plan := &Plan{Domain: -1}
	for i := range nodes {
		if share := shares[i]; share != nil {
			plan.Shares = append(plan.Shares, *share)
		}
	}
	plan.Domain = x.lowest(plan, req)
	x.finish(plan, req)
	return plan
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
	one := Class{Requests: class.Requests, Count: class.Count, Key: class.Key}
	if class.Eligible != nil {
		one.Eligible = func(node int) bool { return class.Eligible(places[node]) }
	}
	for _, node := range class.Excluded {
		if i, here := local[node]; here {
			one.Excluded = append(one.Excluded, i)
		}
	}
	return Request{Classes: []Class{one}, SliceSize: r.SliceSize, SliceLevel: r.SliceLevel}
}

// byDemand orders the classes, the most demanding first.
func byDemand(req Request) []int {
	primary := req.Total().Primary()
	order := make([]int, len(req.Classes))
	for c := range order {
		order[c] = c
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := req.Classes[i].Requests, req.Classes[j].Requests
		return cmp.Or(cmp.Compare(b.Get(primary), a.Get(primary)),
			cmp.Compare(b.Get(cluster.CPU), a.Get(cluster.CPU)), cmp.Compare(b.Get(cluster.Memory), a.Get(cluster.Memory)))
	})
	return order
}
