package preemption

import (
	"cmp"
	"slices"
)

// replace keeps one unit of the best answer after the other and lets the knapsack find
// what goes in its place, the dearest first, as long as that makes the answer cheaper.
func (h *hunt) replace() {
	for improved := true; improved; {
		improved = false
		set := slices.Clone(h.best.set)
		slices.SortStableFunc(set, func(a, b int) int { return h.byPrice(b, a) })
		for i, u := range set {
			if h.work > h.limit*3/2 {
				return
			}
			if h.without(slices.Concat(set[:i], set[i+1:]), u) {
				improved = true
				break
			}
		}
	}
}

// without tries the best answer with a unit kept and the others gone.
func (h *hunt) without(others []int, u int) (better bool) {
	undo := []func(){h.decide(u, kept)}
	for _, v := range others {
		undo = append(undo, h.decide(v, gone))
	}
	before := h.best.price
	if _, taken, ok := h.knapsack(); ok {
		set := others
		for _, t := range taken {
			set = append(set, t.unit)
		}
		h.offer(h.mended(set))
	}
	for _, back := range slices.Backward(undo) {
		back()
	}
	return h.best.price.less(before)
}

// maxContenders is the number of units that are tried in exchange for others.
const maxContenders = 64

// contenders are the units that make the most room for their price by themselves.
func (g *greedy) contenders() []int {
	var list []int
	for u := range g.units {
		if g.moves[len(g.nodes)+u].gain > 0 {
			list = append(list, u)
		}
	}
	slices.SortStableFunc(list, func(a, b int) int {
		ma, mb := g.moves[len(g.nodes)+a], g.moves[len(g.nodes)+b]
		return cmp.Compare(int64(mb.gain)*ma.weight(), int64(ma.gain)*mb.weight())
	})
	return list[:min(len(list), maxContenders)]
}

// exchange lets one unit more go and drops what is not needed then, as long as that
// makes the best answer cheaper.
func (h *hunt) exchange() {
	if h.best.set == nil {
		return
	}
	contenders := h.newGreedy().contenders()
	for improved := true; improved; {
		improved = false
		for _, u := range contenders {
			if h.work > h.limit*3/2 {
				return
			}
			improved = h.withUnit(u) || improved
		}
	}
}

// withUnit tries the best answer with one unit more.
func (h *hunt) withUnit(u int) (better bool) {
	set := h.best.set
	for _, v := range set {
		if v == u || slices.Contains(h.units[v].rivals, u) {
			return false
		}
	}
	if unit := &h.units[u]; !unit.whole && h.shrinks(set, unit.rivals[0]) == h.units[unit.rivals[0]].spare {
		return false
	}
	before := h.best.price
	set = append(slices.Clone(set), u)
	for _, v := range set {
		h.trial.shift(v, 1)
	}
	h.accept(h.trim(set, u))
	h.work += len(set)
	return h.best.price.less(before)
}
