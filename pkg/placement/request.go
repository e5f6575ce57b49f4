package placement

import "lockstep.dev/lockstep/pkg/cluster"

// Class is a number of members that are alike: same requests, same constraints.
type Class struct {
	// Requests of one member, one pod included (cluster.Pods).
	Requests cluster.Resources
	// Count of members to place, at least 1.
	Count int
	// Eligible says whether a member may run on the node at this place in the
	// snapshot, resources apart. Nil means every node.
	Eligible func(node int) bool
}

// Request is one gang's wish.
type Request struct {
	Classes []Class
	// Fixed are the nodes of members that are placed already (healing, growth).
	// The rest is planned close to them; a required domain must hold them too.
	Fixed []int
	// Required is the level (its number in the tree) one of whose domains has to
	// hold the whole gang; 0, the cluster, is no requirement.
	Required int
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
		for range c.Count {
			total = total.Add(c.Requests)
		}
	}
	return total
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
	// domain by domain, the fullest first.
	Shares []Share
	// Exact is false where the gang was too varied for the exact method and the
	// placement may use more domains than needed.
	Exact bool
}
