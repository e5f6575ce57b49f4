package backfill

import (
	"slices"
	"sort"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
)

// Tenancy is room that somebody holds on a node, and when it is expected to be free.
type Tenancy struct {
	Node    int // its place in the index
	Amounts cluster.Resources
	Until   time.Time
}

// Shadow finds the earliest time at which the gang fits if every tenancy ends as
// expected and nobody else enters, and where it would go then. Of the places at that
// time it is the planner's best. The rejection says what is missing where the gang
// does not fit even after the last of them; the index is left as it was.
//
// The time is the zero time where the gang fits as it is. O(log n) plans for n tenancies.
func Shadow(x *placement.Index, req placement.Request, held []Tenancy) (*placement.Plan, time.Time, *placement.Rejection) {
	held = slices.Clone(held)
	slices.SortStableFunc(held, func(a, b Tenancy) int { return a.Until.Compare(b.Until) })
	freed := make([]placement.Freed, len(held))
	for i, t := range held {
		freed[i] = placement.Freed{Node: t.Node, Amounts: t.Amounts}
	}
	last, rejection := x.SolveIf(req, freed)
	if rejection != nil {
		return nil, time.Time{}, rejection
	}
	plan := last
	enough := sort.Search(len(held), func(n int) bool {
		p, _ := x.SolveIf(req, freed[:n])
		if p != nil {
			plan = p // the search goes down from here on, so the last one found is the one
		}
		return p != nil
	})
	if enough == 0 {
		return plan, time.Time{}, nil
	}
	return plan, held[enough-1].Until, nil
}
