package placement

import (
	"cmp"
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
)

// Assign gives every member a node. Members come in rank order, each with the
// index of its class; the result holds the node of each. Consecutive ranks of a
// class share a node, then a rack, because the shares stand in that order.
func (p *Plan) Assign(classes []int) []int {
	type cursor struct{ share, taken int }
	at := map[int]*cursor{}
	out := make([]int, len(classes))
	for i, class := range classes {
		c := at[class]
		if c == nil {
			c = &cursor{}
			at[class] = c
		}
		for c.taken == p.Shares[c.share].Counts[class] {
			c.share, c.taken = c.share+1, 0
		}
		out[i] = p.Shares[c.share].Node
		c.taken++
	}
	return out
}

// finish orders the shares for ranks, counts the domains in use and says whether
// the preferred level was met.
func (x *Index) finish(plan *Plan, req Request) {
	tree := x.tree
	for _, share := range plan.Shares {
		x.count(share.Node, share.size())
	}
	for _, node := range req.Fixed {
		x.count(node, 1)
	}
	x.sortShares(plan, x.seatFirst(plan, req))
	// Counting a domain and wiping it out are one step.
	plan.Used = make([]int, tree.Hosts()+1)
	wipe := func(node int) {
		for d := tree.Leaf(node); d >= 0 && x.members[d] > 0; d = tree.Domains[d].Parent {
			x.members[d] = 0
			plan.Used[tree.Domains[d].Level]++
		}
	}
	for _, share := range plan.Shares {
		wipe(share.Node)
	}
	for _, node := range req.Fixed {
		wipe(node)
	}
	plan.Preferred = tree.Domains[plan.Domain].Level >= req.Preferred
}

func (s Share) size() int {
	n := 0
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// sortShares brings the shares into the order of ranks, the domains of the
// leading leaf before all others; -1 for none.
func (x *Index) sortShares(plan *Plan, lead int) {
	slices.SortStableFunc(plan.Shares, func(a, b Share) int {
		return x.before(lead, x.tree.Leaf(a.Node), x.tree.Leaf(b.Node))
	})
}

// before orders two leaves depth first: at each level the domain of the leading
// leaf, then the fullest, then by path.
func (x *Index) before(lead, a, b int) int {
	for level := 1; level <= x.tree.Hosts(); level++ {
		da, db := x.tree.Ancestor(a, level), x.tree.Ancestor(b, level)
		if da == db {
			continue
		}
		if lead >= 0 {
			switch x.tree.Ancestor(lead, level) {
			case da:
				return -1
			case db:
				return 1
			}
		}
		return cmp.Or(cmp.Compare(x.members[db], x.members[da]),
			cmp.Compare(x.tree.Domains[da].Path, x.tree.Domains[db].Path))
	}
	return 0
}

// seatTries is the number of hosts that are tried for rank 0.
const seatTries = 16

// seatFirst brings rank 0, if it is alone in its class (a Master), into the
// fullest domain of those in use that can take it, changing places with other
// members if need be. It returns the leaf of rank 0; -1 where it is placed already.
func (x *Index) seatFirst(plan *Plan, req Request) int {
	x.sortShares(plan, -1)
	seat := slices.IndexFunc(plan.Shares, func(s Share) bool { return s.Counts[0] > 0 })
	if seat < 0 {
		return -1
	}
	if req.Classes[0].Count == 1 && plan.Shares[seat].size() > 1 {
		for i := range min(seat, seatTries) {
			if x.exchange(req, plan.Shares[seat], plan.Shares[i]) {
				seat = i
				break
			}
		}
	}
	return x.tree.Leaf(plan.Shares[seat].Node)
}

// exchange moves rank 0 from one share to another, and back for it as few
// members of one other class as need be. It changes the shares only on success.
func (x *Index) exchange(req Request, from, to Share) bool {
	first := req.Classes[0]
	if first.Eligible != nil && !first.Eligible(to.Node) || slices.Contains(first.Excluded, to.Node) {
		return false
	}
	for c := 1; c < len(req.Classes); c++ {
		for back := range to.Counts[c] + 1 {
			if back > 0 && (req.SliceSize > 1 || from.Counts[c] == 0) {
				break // slices stay as they are; a host that holds a class may hold more of it
			}
			from.Counts[0], to.Counts[0] = 0, 1
			from.Counts[c], to.Counts[c] = from.Counts[c]+back, to.Counts[c]-back
			if x.fits(req, from) && x.fits(req, to) {
				x.count(from.Node, back-1)
				x.count(to.Node, 1-back)
				return true
			}
			from.Counts[0], to.Counts[0] = 1, 0
			from.Counts[c], to.Counts[c] = from.Counts[c]-back, to.Counts[c]+back
		}
	}
	return false
}

// count adds to the members of the domains a node stands in.
func (x *Index) count(node, n int) {
	for d := x.tree.Leaf(node); d >= 0; d = x.tree.Domains[d].Parent {
		x.members[d] += int32(n)
	}
}

// fits reports whether a share has room on its node.
func (x *Index) fits(req Request, share Share) bool {
	var total cluster.Resources
	var apart uint64
	for c, n := range share.Counts {
		class := req.Classes[c]
		if n > class.perNode(n) || n > 0 && class.Apart&apart != 0 {
			return false
		}
		if n > 0 {
			apart |= class.Apart
		}
		total = addTimes(total, class.Requests, n)
	}
	return total.Fits(x.nodes[share.Node].Free)
}
