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
	if b.vectors.n > 0 && !sliced(req) {
		answer, exact = b.search()
	}
	if answer.set != nil { // the knapsack knows nothing of members that keep apart
		if plan, _ := x.SolveIf(req, b.freed(answer.set)); plan == nil {
			answer.set = nil
		}
	}
	if answer.set == nil {
		every := b.everyone()
		if _, rejection := x.SolveIf(req, b.freed(every)); rejection != nil {
			return nil, rejection
		}
		answer.set, exact = b.byTrying(every), false
	}
	plan, rejection := x.SolveIf(req, b.freed(answer.set))
	if rejection != nil {
		return nil, rejection
	}
	return &Choice{
		Plan: plan, Victims: b.victims(answer.set), Violations: int(b.violated(answer.set)), Exact: exact,
	}, nil
}

// sliced requests ask for more than room in one domain, which the knapsack cannot state.
func sliced(req placement.Request) bool {
	return req.SliceSize > 1 || slices.ContainsFunc(req.Classes, func(c placement.Class) bool { return c.Within > 0 })
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
// domains that may hold the gang, those that promise most first.
func (b *board) below(top int32, limit cost) (best answer, exact bool) {
	type promise struct {
		domain int
		bound  cost
	}
	var promises []promise
	domains := b.index.Candidates(b.req, b.req.Required)
	for _, d := range domains {
		h := b.field(d).newHunt(top, answer{price: limit})
		if !h.mayHold() {
			continue
		}
		var bound cost
		if len(domains) > 1 {
			bound, _, _ = h.knapsack()
		}
		promises = append(promises, promise{d, bound.roundUp()})
	}
	slices.SortStableFunc(promises, func(p, q promise) int { return slices.Compare(p.bound[:], q.bound[:]) })
	best, exact = answer{price: limit}, true
	for _, p := range promises {
		if !p.bound.less(best.price) {
			break
		}
		h := b.field(p.domain).newHunt(top, best)
		exact = h.run() && exact
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
	most := b.slotsWithout(top)
	for level := b.index.Tree().Hosts(); level > b.req.Required; level-- {
		for _, d := range b.index.Candidates(b.req, level) {
			if b.work > b.limit {
				return best
			}
			if !b.enough(d, most) {
				continue
			}
			h := b.field(d).newHunt(top, answer{price: limit})
			h.begun = true // the bound decides
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

// slotsWithout is, by node and class, the members that fit, each class by itself, once
// all units up to a priority are gone.
func (b *board) slotsWithout(top int32) [][]int {
	most := make([][]int, b.index.Len())
	for node := range most {
		free := b.index.Node(node).Free.Clone()
		for _, p := range b.onNode[node] {
			if unit := &b.units[p.unit]; unit.whole && unit.priority <= top {
				free = free.Add(unit.parts[p.part].freed)
			}
		}
		most[node] = make([]int, len(b.req.Classes))
		for c, class := range b.req.Classes {
			most[node][c] = class.Requests.Slots(free, class.Count)
		}
	}
	return most
}

// enough reports whether a domain has the slots for every class by itself.
func (b *board) enough(domain int, slots [][]int) bool {
	left := make([]int, len(b.req.Classes))
	for c, class := range b.req.Classes {
		left[c] = class.Count
	}
	for _, node := range b.index.NodesIn(domain) {
		for c := range left {
			left[c] -= slots[node][c]
		}
	}
	return slices.Max(left) <= 0
}

// mayHold reports whether the gang fits once all units are gone that may go.
func (h *hunt) mayHold() bool {
	var every []int
	for u := range h.units {
		if h.units[u].whole && h.state[u] == open {
			every = append(every, u)
			h.trial.shift(u, 1)
		}
	}
	fits := h.trial.fits()
	for _, u := range every {
		h.trial.shift(u, -1)
	}
	return fits
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
// a place, the dearest first. It serves
// requests that the knapsack cannot state.
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
		list = append(list, Victim{Candidate: unit.candidate, Pods: slices.Clone(unit.pods), Whole: unit.price[whole] > 0})
	}
	return list
}
