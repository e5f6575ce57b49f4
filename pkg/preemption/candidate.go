package preemption

import (
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
)

// Candidate is a gang, or a pod without one, that may be evicted for another.
type Candidate struct {
	// Gang names it; a pod without a gang goes by its own namespace and name.
	Gang     gang.Key
	Priority int32
	// Floor is the number of Pods below which the others are of no use. A candidate
	// with no more pods than that goes as a whole or not at all.
	Floor int
	// Pods that hold room on nodes, in rank order. Of a surplus the last goes first.
	Pods []Pod
	// Surplus: the pods are what a gang that stays can spare, and any of them may go.
	Surplus bool
	// Reclaimed candidates hold room that the gang's queue is guaranteed; they may go
	// whatever their priority.
	Reclaimed bool
}

// Pod is one member of a candidate.
type Pod struct {
	// Node is its place in the index.
	Node int
	// Requests are freed there when it goes.
	Requests cluster.Resources
	// Lost is the work that goes with it, in GPU-seconds since its last checkpoint.
	Lost int64
	// Budgets are the places in Options.Budgets of those that count the pod.
	Budgets []int
	// Firm pods go only with the whole gang, although it has a surplus: a Master.
	Firm bool
}

// Options of a search.
type Options struct {
	// Priority of the gang that needs room. Candidates of the same or a higher one
	// are no victims, unless they are Reclaimed.
	Priority int32
	// Budgets are the disruption budgets: how many of its pods may go, each.
	Budgets []int
}

// Victim is what goes of one candidate.
type Victim struct {
	Candidate int   // its place in the list
	Pods      []int // places in its Pods, ascending
	// Whole is false for a part of the surplus; the rest goes on.
	Whole bool
}

// Choice is who goes and where the gang goes then.
type Choice struct {
	// Victims in the order of the candidates; none where the gang fits as it is.
	Victims []Victim
	// Plan is for the cluster without the victims.
	Plan *placement.Plan
	// Violations of disruption budgets: pods that go beyond what these allow.
	Violations int
	// Exact is true where no choice is better in points 1 to 5 of the package comment.
	Exact bool
}
