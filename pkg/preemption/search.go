package preemption

import (
	"cmp"
	"slices"

	"lockstep.dev/lockstep/pkg/placement"
)

// Search finds the victims whose end gives the gang its place, and the place. It
// returns the rejection of the gang on the cluster without any of the candidates that
// may go where even that is not enough. A gang that fits as it is has no victims.
//
// Pods of candidates are counted on their nodes in the index; what is on its way out
// is to be freed there by the caller. Candidates that must not be evicted at all are
// left out of the list.
func Search(x *placement.Index, req placement.Request, candidates []Candidate, o Options) (*Choice, *placement.Rejection) {
	if plan, _ := x.SolveIf(req, nil); plan != nil {
		return &Choice{Plan: plan, Exact: true}, nil
	}
	b := newBoard(x, req, units(candidates, o), o.Budgets)
	var answer answer
	exact := false
	if b.vectors.n > 0 && req.SliceSize <= 1 {
		answer, exact = b.search()
	}
	if answer.set == nil || !exact {
		every := b.everyone()
		if _, rejection := x.SolveIf(req, b.freed(every)); rejection != nil {
			return nil, rejection
		}
		if answer.set == nil {
			answer.set = b.byTrying(every)
		}
	}
	plan, rejection := x.SolveIf(req, b.freed(answer.set))
	if rejection != nil {
		return nil, rejection
	}
	return &Choice{
		Plan: plan, Victims: b.victims(answer.set), Violations: int(b.violated(answer.set)), Exact: exact,
	}, nil
}

// search tries the priorities from the lowest upward: units of a higher one stay. A
// higher one is of use only if it violates fewer budgets.
func (b *board) search() (best answer, exact bool) {
	exact = true
	limit := dearest
	for _, top := range b.priorities() {
		found, sure := b.below(top, limit)
		exact = exact && sure
		if found.set == nil {
			continue
		}
		best = found
		if limit = (cost{violations: found.price[violations]}); limit == (cost{}) {
			break
		}
	}
	if best.set != nil {
		best = b.lowest(best)
	}
	return best, exact
}

// priorities of the units, ascending.
func (b *board) priorities() []int32 {
	var list []int32
	for u := range b.units {
		list = append(list, b.units[u].priority)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// below finds the best answer below a limit with units up to a priority, over all
// domains that may hold the gang.
func (b *board) below(top int32, limit cost) (best answer, exact bool) {
	best, exact = answer{price: limit}, true
	for _, d := range b.index.Candidates(b.req, b.req.Required) {
		h := b.field(d).newHunt(top, best)
		if !h.mayHold() {
			continue
		}
		h.greedily()
		exact = h.branch(nil) && !h.rough && exact
		best = h.best
	}
	return best, exact
}

// lowest finds an answer that costs no more in the lowest domain that has one.
func (b *board) lowest(best answer) answer {
	limit := best.price.plus(cost{order: 1})
	top := int32(-1 << 31)
	for _, u := range best.set {
		top = max(top, b.units[u].priority)
	}
	for level := b.index.Tree().Hosts(); level > b.req.Required; level-- {
		for _, d := range b.index.Candidates(b.req, level) {
			if b.work > maxWork {
				return best
			}
			h := b.field(d).newHunt(top, answer{price: limit})
			if !h.mayHold() {
				continue
			}
			if h.branch(nil); h.best.set != nil {
				return h.best
			}
		}
	}
	return best
}

// mayHold reports whether the gang fits once all units are gone that may go.
func (h *hunt) mayHold() bool {
	t := h.newTrial()
	for u := range h.units {
		if h.units[u].whole && h.state[u] == open {
			t.shift(u, 1)
		}
	}
	return t.fits()
}

// everyone is the set of all whole units.
func (b *board) everyone() []int {
	var set []int
	for u := range b.units {
		if b.units[u].whole {
			set = append(set, u)
		}
	}
	return set
}

// byTrying drops units from a set that makes room as long as the planner still finds
// a place, the dearest first. It serves requests that the knapsack cannot state.
func (b *board) byTrying(set []int) []int {
	slices.SortStableFunc(set, func(u, v int) int {
		return cmp.Or(cmp.Compare(b.units[v].priority, b.units[u].priority), b.byPrice(v, u))
	})
	left := set
	return dropped(set, func(without []int) bool {
		rest := slices.DeleteFunc(slices.Clone(left), func(u int) bool { return slices.Contains(without, u) })
		plan, _ := b.index.SolveIf(b.req, b.freed(rest))
		if plan != nil {
			left = rest
		}
		return plan != nil
	})
}

// victims puts a set of units in terms of the candidates.
func (b *board) victims(set []int) []Victim {
	var list []Victim
	slices.Sort(set) // units stand in the order of the candidates
	for _, u := range set {
		unit := &b.units[u]
		if n := len(list); n > 0 && list[n-1].Candidate == unit.candidate {
			list[n-1].Pods = append(list[n-1].Pods, unit.pods...)
			slices.Sort(list[n-1].Pods)
			continue
		}
		list = append(list, Victim{Candidate: unit.candidate, Pods: slices.Clone(unit.pods), Whole: unit.whole})
	}
	return list
}
