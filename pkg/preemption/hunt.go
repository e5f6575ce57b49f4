package preemption

import (
	"cmp"
	"slices"
)

// state is what is decided about a unit.
type state byte

const (
	open state = iota
	gone       // it goes
	kept       // it stays
)

// hunt looks for the cheapest set of units in one field.
type hunt struct {
	*field
	state []state
	known map[string]*ways // by node and the state of its units
	rough bool             // ways were left out
	best  answer

	stands []standing // by unit

	parts     []int // scratch, by unit
	key       []byte
	now, next []cost
	tables    [][]pick
	choices   []choice
}

// answer is a set of units whose end makes room.
type answer struct {
	set   []int // ascending
	price cost
	field *field
}

// newHunt prepares a field; units of a higher priority than top stay.
func (f *field) newHunt(top int32, best answer) *hunt {
	h := &hunt{
		field: f, state: make([]state, len(f.units)), known: map[string]*ways{}, best: best, parts: make([]int, len(f.units)),
	}
	h.stands = make([]standing, len(f.units))
	for u := range f.units {
		h.stands[u] = f.standingOf(u)
		if h.stands[u].parts == 0 || f.units[u].priority > top {
			h.state[u] = kept
		}
	}
	return h
}

// maxWork bounds the branches of a search, in pairs of a vector and a way.
const maxWork = 1 << 22

// branch looks for answers better than the best that hold to what is decided: the
// units that go. It is false where the work ran out.
func (h *hunt) branch(going []int) bool {
	price, taken, ok := h.knapsack()
	if !ok {
		return true
	}
	bound := h.price(going).plus(price).roundUp()
	if !bound.less(h.best.price) {
		return true
	}
	set := slices.Clone(going)
	for _, t := range taken {
		set = append(set, t.unit)
	}
	h.offer(h.mended(set))
	if !bound.less(h.best.price) {
		return true
	}
	u := h.doubtful(set, taken)
	if u < 0 {
		return true
	}
	if h.work > maxWork {
		return false
	}
	undo := h.decide(u, gone)
	exact := h.branch(append(going, u))
	undo()
	undo = h.decide(u, kept)
	exact = h.branch(going) && exact
	undo()
	return exact
}

// decide fixes a unit and what follows for its rivals; the result takes it back.
func (h *hunt) decide(u int, to state) (undo func()) {
	type before struct {
		unit  int
		state state
	}
	var changed []before
	set := func(u int, to state) {
		if h.state[u] == open {
			changed = append(changed, before{u, h.state[u]})
			h.state[u] = to
		}
	}
	set(u, to)
	if to == gone {
		for _, rival := range h.units[u].rivals {
			set(rival, kept)
		}
		if unit := &h.units[u]; !unit.whole && h.shrunk(unit.rivals[0]) == h.units[unit.rivals[0]].spare {
			for _, sibling := range h.units[unit.rivals[0]].rivals {
				set(sibling, kept)
			}
		}
	}
	return func() {
		for _, b := range changed {
			h.state[b.unit] = b.state
		}
	}
}

// shrunk is the number of a gang's surplus members that go.
func (h *hunt) shrunk(gang int) int {
	n := 0
	for _, u := range h.units[gang].rivals {
		if h.state[u] == gone {
			n++
		}
	}
	return n
}

// doubtful is a unit on which an answer of the knapsack is not true: of which only
// parts are taken, which goes beside a rival, or of which a surplus or a budget allows
// too many. It is -1 where there is none.
func (h *hunt) doubtful(set []int, taken []taking) int {
	best, most := -1, 0
	for _, t := range taken {
		if n := h.stands[t.unit].parts; t.parts < n && n > most {
			best, most = t.unit, n
		}
	}
	if best >= 0 {
		return best
	}
	for _, t := range taken {
		unit := &h.units[t.unit]
		together := 0
		for _, rival := range unit.rivals {
			if slices.Contains(set, rival) {
				together++
			}
		}
		if together > 0 {
			return t.unit
		}
		if !unit.whole && h.shrinks(set, unit.rivals[0]) > h.units[unit.rivals[0]].spare {
			return t.unit
		}
	}
	return h.overBudget(set, taken)
}

// shrinks is the number of a gang's surplus members in a set.
func (h *hunt) shrinks(set []int, gang int) int {
	n := 0
	for _, u := range h.units[gang].rivals {
		if slices.Contains(set, u) {
			n++
		}
	}
	return n
}

// overBudget is an open unit of the set that has to do with a budget, where the set
// violates budgets more than its units do one by one.
func (h *hunt) overBudget(set []int, taken []taking) int {
	single := int64(0)
	for _, u := range set {
		single += h.units[u].price[violations]
	}
	if h.violated(set) == single {
		return -1
	}
	for _, t := range taken {
		if len(h.units[t.unit].budgets) > 0 {
			return t.unit
		}
	}
	return -1
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
	if set == nil {
		return
	}
	t := h.newTrial()
	for _, u := range set {
		t.shift(u, 1)
	}
	h.accept(h.trim(t, set, -1))
}

func (h *hunt) accept(set []int) {
	if price := h.price(set); price.less(h.best.price) {
		slices.Sort(set)
		h.best = answer{set, price, h.field}
	}
}

// trim drops units that are not needed, the most important first, but never the one
// to be kept (-1 for none). The trial has the set gone, and what is left of it after.
func (h *hunt) trim(t *trial, set []int, keep int) []int {
	order := slices.Clone(set)
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(h.units[b].priority, h.units[a].priority), h.byPrice(b, a))
	})
	return dropped(order, func(without []int) bool {
		if slices.Contains(without, keep) {
			return false
		}
		for _, u := range without {
			t.shift(u, -1)
		}
		if t.fits() {
			return true
		}
		for _, u := range without {
			t.shift(u, 1)
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
