package preemption

import "slices"

// greedy finds a good answer quickly: the units, or the units of one node, that make
// the most room for their price go until the gang fits.
type greedy struct {
	*hunt
	moves []move // by place, then by unit
}

// move is some units that go together.
type move struct {
	set  []int
	gain int // members that have a slot more
	cost cost
}

// better moves violate no budgets where others do, and else make more room for
// their price; surplus members weigh next to nothing beside whole gangs.
func (m move) better(o move) bool {
	if m.cost[violations] != o.cost[violations] {
		return m.cost[violations] < o.cost[violations]
	}
	if a, b := int64(m.gain)*o.weight(), int64(o.gain)*m.weight(); a != b {
		return a > b
	}
	return m.cost.less(o.cost)
}

func (m move) weight() int64 { return (m.cost[whole]*4096 + m.cost[surplus]) / shares }

// greedily offers the greedy method's answer.
func (h *hunt) greedily() {
	g := h.newGreedy()
	for !g.trial.fits() {
		best := g.bestMove()
		if best < 0 {
			g.everything()
			break
		}
		// What made room may make less by now, or be no longer allowed: then another may
		// be better.
		then, now := g.moves[best], g.moveAt(best)
		if g.moves[best] = now; now.gain != then.gain || now.cost != then.cost {
			continue
		}
		for _, u := range now.set {
			g.add(u)
		}
		g.weighAgain(now.set)
	}
	set := g.set()
	clear(g.in)
	if g.trial.fits() {
		h.accept(h.trim(set, -1))
		return
	}
	for _, u := range set {
		g.trial.shift(u, -1)
	}
}

func (h *hunt) newGreedy() *greedy {
	g := &greedy{hunt: h, moves: make([]move, len(h.nodes)+len(h.units))}
	for i := range g.moves {
		g.moves[i] = g.moveAt(i)
	}
	h.work += len(g.moves)
	return g
}

func (g *greedy) bestMove() int {
	best := -1
	for i := range g.moves {
		if g.moves[i].gain > 0 && (best < 0 || g.moves[i].better(g.moves[best])) {
			best = i
		}
	}
	return best
}

func (g *greedy) set() []int {
	var set []int
	for u, in := range g.in {
		if in {
			set = append(set, u)
		}
	}
	return set
}

// available units may still be added.
func (g *greedy) available(u int) bool {
	if g.state[u] != open || g.in[u] {
		return false
	}
	unit := &g.units[u]
	return unit.whole || !g.in[unit.rivals[0]] && g.shrinking(unit.rivals[0]) < g.units[unit.rivals[0]].spare
}

// shrinking is the number of a gang's surplus members in the set.
func (g *greedy) shrinking(gang int) int {
	n := 0
	for _, u := range g.units[gang].rivals {
		if g.in[u] {
			n++
		}
	}
	return n
}

// add lets a unit go, in place of its rivals; the result takes it back.
func (g *greedy) add(u int) (undo func()) {
	var replaced []int
	for _, rival := range g.units[u].rivals {
		if g.units[u].whole && g.in[rival] {
			replaced = append(replaced, rival)
			g.in[rival] = false
			g.trial.shift(rival, -1)
		}
	}
	g.in[u] = true
	g.trial.shift(u, 1)
	return func() {
		g.in[u] = false
		g.trial.shift(u, -1)
		for _, rival := range replaced {
			g.in[rival] = true
			g.trial.shift(rival, 1)
		}
	}
}

// moveAt weighs a move: the units of a place, or one unit by itself.
func (g *greedy) moveAt(i int) move {
	if u := i - len(g.nodes); u >= 0 {
		if !g.available(u) {
			return move{}
		}
		return g.weigh([]int{u})
	}
	return g.weigh(g.bundle(i))
}

// weigh measures what a set gains.
func (g *greedy) weigh(set []int) move {
	m := move{set: set}
	before := g.trial.room()
	var undo []func()
	for _, u := range set {
		m.cost = m.cost.plus(g.units[u].price)
		undo = append(undo, g.add(u))
	}
	m.gain = g.trial.room() - before
	for _, u := range slices.Backward(undo) {
		u()
	}
	return m
}

// bundle is a small set of units of one place that makes room for one member more.
func (g *greedy) bundle(i int) []int {
	before := g.slotsAt(i)
	var list []int
	for _, p := range g.onNode[g.nodes[i]] {
		if g.available(p.unit) && g.asked(g.units[p.unit].parts[p.part].freed) {
			list = append(list, p.unit)
		}
	}
	slices.SortStableFunc(list, g.byPrice)
	var set []int
	var undo []func()
	for _, u := range list {
		if g.slotsAt(i) > before {
			break
		}
		if g.available(u) {
			set, undo = append(set, u), append(undo, g.add(u))
		}
	}
	enough := g.slotsAt(i) > before
	for _, u := range slices.Backward(undo) {
		u()
	}
	if !enough {
		return nil
	}
	// The last one makes the room; of those before it some may not be needed.
	for k := len(set) - 2; k >= 0; k-- {
		without := slices.Delete(slices.Clone(set), k, k+1)
		if g.weighSlots(i, without) > before {
			set = without
		}
	}
	return set
}

func (g *greedy) weighSlots(i int, set []int) int {
	var undo []func()
	for _, u := range set {
		undo = append(undo, g.add(u))
	}
	n := g.slotsAt(i)
	for _, u := range slices.Backward(undo) {
		u()
	}
	return n
}

func (g *greedy) slotsAt(i int) int {
	n := 0
	for _, k := range g.trial.slots[i] {
		n += k
	}
	return n
}

// weighAgain weighs the moves whose gain may have changed because a set went.
func (g *greedy) weighAgain(set []int) {
	again := map[int]bool{}
	for _, u := range set {
		for _, part := range g.units[u].parts {
			i, here := g.at(part.node)
			if !here || again[i] {
				continue
			}
			again[i] = true
			for _, p := range g.onNode[part.node] {
				again[len(g.nodes)+p.unit] = true
			}
		}
	}
	for i := range again {
		g.moves[i] = g.moveAt(i)
	}
}

// everything lets all units go.
func (g *greedy) everything() {
	for u := range g.units {
		if g.units[u].whole && g.available(u) {
			g.add(u)
		}
	}
	for u := range g.units { // of gangs that may not go as a whole
		if g.available(u) {
			g.add(u)
		}
	}
}
