package placement

import (
	"fmt"
	"math/bits"
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
)

// Class is a number of members that are alike: same requests, same constraints.
type Class struct {
	// Requests of one member, one pod included (cluster.Pods).
	Requests cluster.Resources
	// Count of members to place, at least 1.
	Count int
	// Eligible says whether a member may run on the node at this place in the
	// snapshot, resources apart. Nil means every node.
	Eligible func(node int) bool
	// Key stands for Eligible: classes of equal keys have equal answers, until the
	// node is given to Index.Update again. An Index remembers what it found for a
	// key; with an Eligible and no key it has to ask for every node in every plan.
	Key string
	// Apart is a set of up to 64 groups, a bit for each: two members that have a group
	// in common, also members of one class, never share a node.
	Apart uint64
	// Within, if not 0, is the number of the domain that has to hold the members: they
	// complete slices of which others are there already, and are not cut into slices
	// themselves. A class of its own for each such domain.
	Within int
	// Excluded are nodes that are not to be used for this class although they are
	// eligible: where the framework has refused a member of an earlier plan.
	Excluded []int
}

// Request is one gang's wish.
type Request struct {
	// Classes in rank order: the first holds rank 0.
	Classes []Class
	// Fixed are the nodes of members that are placed already (healing, growth).
	// The rest is planned close to them; a required domain must hold them too.
	Fixed []int
	// Required is the level (its number in the tree) one of whose domains has to
	// hold the whole gang; 0, the cluster, is no requirement.
	Required int
	// Preferred is the level one of whose domains should hold the whole gang. The
	// planner takes the lowest domain that holds the gang with or without it, so
	// it does not change the plan; it is what Plan.Preferred is measured against.
	Preferred int
	// SliceSize, if above 1, cuts every class into groups of that many consecutive
	// ranks; each group has to lie in one domain of SliceLevel. A class with fewer
	// members is one group; otherwise its count is a multiple of SliceSize. What
	// completes a group that is placed in part is a class by itself; see Class.Within.
	SliceSize, SliceLevel int
}

// Size is the number of members to place.
func (r Request) Size() int {
	n := 0
	for _, c := range r.Classes {
		n += c.Count
	}
	return n
}

// Total is the sum of what all the members to place ask for.
func (r Request) Total() cluster.Resources {
	var total cluster.Resources
	for _, c := range r.Classes {
		total = addTimes(total, c.Requests, c.Count)
	}
	return total
}

// addTimes adds n times amounts to total in place and returns it.
func addTimes(total, amounts cluster.Resources, n int) cluster.Resources {
	for i, amount := range amounts {
		total = total.Set(i, saturatingAdd(total.Get(i), times(amount, n)))
	}
	return total
}

// times multiplies amounts that are not negative, up to the largest int64.
func times(amount int64, n int) int64 {
	if amount <= 0 || n <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(amount), uint64(n))
	if hi != 0 || lo > 1<<63-1 {
		return 1<<63 - 1
	}
	return int64(lo)
}

func saturatingAdd(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return 1<<63 - 1
}

// slice is the number of members of a class that have to stay together.
func (r Request) slice(class int) int {
	if r.SliceSize <= 1 || r.Classes[class].Within > 0 {
		return 1
	}
	return min(r.SliceSize, r.Classes[class].Count)
}

// confined makes what Class.Within asks for a part of who is eligible.
func (x *Index) confined(req Request) Request {
	if !slices.ContainsFunc(req.Classes, func(c Class) bool { return c.Within > 0 }) {
		return req
	}
	req.Classes = slices.Clone(req.Classes) // the caller's stay as they are
	for c, class := range req.Classes {
		if class.Within == 0 {
			continue
		}
		level, may := x.tree.Domains[class.Within].Level, class.Eligible
		if !class.opaque() {
			req.Classes[c].Key = fmt.Sprintf("%s within %d", class.Key, class.Within)
		}
		req.Classes[c].Eligible = func(node int) bool {
			return x.tree.Ancestor(x.tree.Leaf(node), level) == class.Within && (may == nil || may(node))
		}
	}
	return req
}

// Share is how many members of each class go to one node.
type Share struct {
	Node   int
	Counts []int // by class
}

// Plan is a place for every member asked for.
type Plan struct {
	// Domain is the lowest domain that holds the whole gang, fixed members included.
	Domain int
	// Used is the number of domains in use at each level, the cluster first;
	// fixed members' domains included.
	Used []int
	// Shares are the nodes with their counts, neighbours next to each other:
	// domain by domain, rank 0's first, then the fullest.
	Shares []Share
	// Preferred is false where the request prefers a level and the gang lies in
	// more than one of its domains.
	Preferred bool
	// Exact is true where no placement uses fewer domains, the widest level
	// counted first. It is false where the gang was too varied for the exact method.
	Exact bool
	// Bound is, by level, a number of domains that no placement can go below. It is
	// filled where Exact is false, and may itself be too low.
	Bound []int
}
