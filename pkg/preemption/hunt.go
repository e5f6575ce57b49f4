package preemption

import "slices"

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
	byUnit
	known map[string]*ways // by node and the state of its units
	now   []*ways          // by place, as things are decided; nil where not looked up
	trial *trial           // the field as it is, between uses
	rough bool             // ways were left out
	begun bool             // the greedy method had its turn
	best  answer

	key       []byte // scratch
	row, next []cost
	tables    [][]pick
	choices   []choice
}

// byUnit are a hunt's lists by unit. The hunts of a search have them one after the other.
type byUnit struct {
	state  []state
	stands []standing
	in     []bool // scratch: it goes
	parts  []int  // scratch: parts taken
}

func newByUnit(n int) byUnit {
	return byUnit{make([]state, n), make([]standing, n), make([]bool, n), make([]int, n)}
}

// clear makes them as they are where no unit is of use.
func (l *byUnit) clear() {
	for u := range l.state {
		l.state[u] = kept
	}
	clear(l.stands)
}

// newHunt prepares a field; units of a higher priority than top stay. Only answers
// cheaper than limit are of interest.
func (f *field) newHunt(top int32, limit answer) *hunt {
	h := &hunt{field: f, byUnit: f.lists, known: map[string]*ways{}, now: make([]*ways, len(f.nodes)), best: limit}
	h.clear()
	for _, node := range f.nodes {
		for _, p := range f.onNode[node] {
			if unit := &f.units[p.unit]; unit.priority <= top && f.asked(unit.parts[p.part].freed) {
				h.state[p.unit] = open
				if h.stands[p.unit].parts++; h.stands[p.unit].parts == 1 {
					h.stands[p.unit].first = p.part
				}
			}
		}
	}
	h.trial = f.newTrial()
	return h
}

// maxWork bounds the branches of a search, in steps of a knapsack: some nanoseconds
// each. The others say how many steps their work is worth.
const (
	maxWork   = 1 << 20
	shiftWork = 8
	setWork   = 32
)

// run looks for the best answer; it is false where there may be a better one.
func (h *hunt) run() (exact bool) {
	before := h.best.price
	if exact = h.branch(nil) && !h.rough; !exact && h.best.price != before {
		h.replace()
		h.exchange()
	}
	return exact
}

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
	if h.work > h.limit && h.best.set != nil {
		return false
	}
	if !h.begun {
		h.begun = true
		h.greedily()
	}
	if h.work > h.limit {
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
			h.turn(u, to)
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
			h.turn(b.unit, b.state)
		}
	}
}

// turn changes a unit's state; what was looked up for its nodes no longer holds.
func (h *hunt) turn(u int, to state) {
	h.state[u] = to
	for _, part := range h.units[u].parts {
		if i, here := h.at(part.node); here {
			h.now[i] = nil
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
