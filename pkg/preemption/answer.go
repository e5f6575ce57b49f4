package preemption

import (
	"cmp"
	"slices"
)

// answer is a set of units whose end makes room.
type answer struct {
	set   []int // ascending
	price cost
}

// mended makes a set that the rules allow of one that they may not: where a gang goes
// besides members of its surplus, or more of these than it can spare, it goes whole.
// It is nil where the gang has to stay.
func (h *hunt) mended(set []int) []int {
	ends := map[int]bool{}
	for _, u := range set {
		gang := u
		if !h.units[u].whole {
			gang = h.units[u].rivals[0]
			if h.shrinks(set, gang) <= h.units[gang].spare {
				continue
			}
			if h.state[gang] == kept {
				return nil
			}
		}
		ends[gang] = true
	}
	var out []int
	for _, u := range set {
		if unit := &h.units[u]; !unit.whole && !ends[unit.rivals[0]] {
			out = append(out, u)
		}
	}
	for u := range ends {
		out = append(out, u)
	}
	slices.Sort(out)
	return out
}

// offer takes in a set that makes room, without what it does not need.
func (h *hunt) offer(set []int) {
	for _, u := range set {
		h.trial.shift(u, 1)
	}
	if len(set) > 0 {
		h.accept(h.trim(set, -1))
	}
}

// accept takes in a set that makes room and needs all its units; the trial has them
// gone, and is afterwards as before.
func (h *hunt) accept(set []int) {
	for _, u := range set {
		h.trial.shift(u, -1)
	}
	if price := h.price(set); price.less(h.best.price) {
		slices.Sort(set)
		h.best = answer{set, price}
	}
}

// trim drops units that are not needed, the most important first, but never the one
// to be kept (-1 for none). The trial has the set gone, and what is left of it after.
func (h *hunt) trim(set []int, keep int) []int {
	order := slices.Clone(set)
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(h.units[b].priority, h.units[a].priority), h.byPrice(b, a))
	})
	return dropped(order, func(without []int) bool {
		if slices.Contains(without, keep) {
			return false
		}
		for _, u := range without {
			h.trial.shift(u, -1)
		}
		if h.trial.fits() {
			return true
		}
		for _, u := range without {
			h.trial.shift(u, 1)
		}
		return false
	})
}

// dropped is what is left of a list when everything is dropped, from the front, that
// can be beside what was dropped before. It tries whole stretches at once.
func dropped(list []int, drop func(without []int) bool) []int {
	if len(list) == 0 || drop(list) {
		return nil
	}
	if len(list) == 1 {
		return list
	}
	half := len(list) / 2
	left := dropped(list[:half], drop)
	return append(slices.Clone(left), dropped(list[half:], drop)...)
}

// byPrice orders units.
func (b *board) byPrice(u, v int) int {
	return slices.Compare(b.units[u].price[:], b.units[v].price[:])
}
