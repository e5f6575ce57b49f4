package placement

import (
	"sort"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// solveGreedy serves gangs of so many different classes that the exact method
// would need too long. It tries the domains from the narrowest level up, the
// tightest first, and fills each with the largest members first and the roomiest
// sub-domains first. Its plans are valid but may use more domains than needed.
func solveGreedy(req Request, nodes []cluster.Node, tree *topology.Tree, allowed func(int) bool) *Plan {
	for level := tree.Hosts(); level >= req.Required; level-- {
		domains := candidates(req, tree, level)
		room := make(map[int]int64, len(domains))
		primary := req.Total().Primary()
		for _, d := range domains {
			room[d] = freeOf(nodes, tree, d, primary)
		}
		sort.SliceStable(domains, func(i, j int) bool { return room[domains[i]] < room[domains[j]] })
		for _, d := range domains {
			if plan := fill(req, nodes, tree, d, allowed); plan != nil {
				finish(plan, req, tree)
				return plan
			}
		}
	}
	return nil
}

// fill places the whole request inside one domain, or returns nil.
func fill(req Request, nodes []cluster.Node, tree *topology.Tree, d int, allowed func(int) bool) *Plan {
	order := make([]int, len(req.Classes))
	for c := range order {
		order[c] = c
	}
	primary := req.Total().Primary()
	sort.SliceStable(order, func(i, j int) bool {
		a, b := req.Classes[order[i]].Requests, req.Classes[order[j]].Requests
		if a.Get(primary) != b.Get(primary) {
			return a.Get(primary) > b.Get(primary)
		}
		return a.Get(cluster.CPU) > b.Get(cluster.CPU)
	})
	free := map[int]cluster.Resources{}
	counts := map[int][]int{}
	var touched []int
	for _, c := range order {
		class, left := req.Classes[c], req.Classes[c].Count
		eachRoomiest(nodes, tree, d, primary, func(node int) bool {
			if allowed != nil && !allowed(node) || class.Eligible != nil && !class.Eligible(node) {
				return true
			}
			have, seen := free[node]
			if !seen {
				have = nodes[node].Free.Clone()
			}
			n := class.Requests.Slots(have, left)
			if n == 0 {
				return true
			}
			if !seen {
				counts[node] = make([]int, len(req.Classes))
				touched = append(touched, node)
			}
			for range n {
				have = have.Sub(class.Requests)
			}
			free[node] = have
			counts[node][c] += n
			left -= n
			return left > 0
		})
		if left > 0 {
			return nil
		}
	}
	plan := &Plan{Domain: d}
	for _, node := range touched {
		plan.Shares = append(plan.Shares, Share{Node: node, Counts: counts[node]})
	}
	return plan
}

// eachRoomiest visits a domain's nodes, at each level the child with the most
// room first.
func eachRoomiest(nodes []cluster.Node, tree *topology.Tree, d, primary int, visit func(int) bool) bool {
	if node := tree.Domains[d].Node; node >= 0 {
		return visit(node)
	}
	children := append([]int(nil), tree.Domains[d].Children...)
	room := make(map[int]int64, len(children))
	for _, child := range children {
		room[child] = freeOf(nodes, tree, child, primary)
	}
	sort.SliceStable(children, func(i, j int) bool { return room[children[i]] > room[children[j]] })
	for _, child := range children {
		if !eachRoomiest(nodes, tree, child, primary, visit) {
			return false
		}
	}
	return true
}

// freeOf is the amount of one resource free in a domain.
func freeOf(nodes []cluster.Node, tree *topology.Tree, d, resource int) int64 {
	var sum int64
	eachNode(tree, d, func(node int) bool {
		sum += max(0, nodes[node].Free.Get(resource))
		return true
	})
	return sum
}
