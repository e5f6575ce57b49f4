package preemption

import "slices"

// pick is how a vector was reached: a way of this place and the vector before.
type pick struct {
	before int32
	way    int16 // -1 where the vector was not reached
}

// knapsack finds the cheapest choice of one way for every node that makes room for
// the whole gang, units that are open let loose. The result is what it costs and the
// open units of which some part is taken.
func (h *hunt) knapsack() (price cost, taken []taking, ok bool) {
	v := &h.vectors
	start := 0
	h.tables, h.choices = h.tables[:0], h.choices[:0]
	h.work += len(h.nodes)
	for i := range h.nodes {
		w := h.waysAt(i)
		base := 0
		if len(h.req.Classes) == 1 || len(w.list) == 1 {
			base = w.list[0].u
		}
		start = v.add(start, base)
		if len(w.list) > 1 {
			h.choices = append(h.choices, choice{w, base})
		}
	}
	h.reset(v.n)
	h.row[start] = cost{}
	for _, c := range h.choices {
		table := h.table(v.n)
		next := h.next
		for u := range next {
			next[u] = dearest
		}
		for from := range h.row {
			if h.row[from] == dearest {
				continue
			}
			for j := range c.ways.list {
				way := &c.ways.list[j]
				to, price := v.add(from, way.u-c.base), h.row[from].plus(way.price)
				if price.less(next[to]) {
					next[to], table[to] = price, pick{int32(from), int16(j)}
				}
			}
		}
		h.work += v.n * len(c.ways.list)
		h.row, h.next = next, h.row
	}
	if h.row[v.full()] == dearest {
		return dearest, nil, false
	}
	return h.row[v.full()], h.walk(), true
}

// choice is a node with more than one way; base is what all of them hold.
type choice struct {
	ways *ways
	base int
}

// taking is an open unit of which parts are taken, and how many.
type taking struct{ unit, parts int }

// walk follows the picks back from the whole gang.
func (h *hunt) walk() []taking {
	var taken []taking
	at := int32(h.vectors.full())
	for i, c := range slices.Backward(h.choices) {
		p, w := h.tables[i][at], c.ways
		for bit, open := range w.open {
			if w.list[p.way].take&(1<<bit) == 0 {
				continue
			}
			if h.parts[open.unit]++; h.parts[open.unit] == 1 {
				taken = append(taken, taking{unit: open.unit})
			}
		}
		at = p.before
	}
	for i := range taken {
		taken[i].parts = h.parts[taken[i].unit]
		h.parts[taken[i].unit] = 0
	}
	return taken
}

// reset makes the rows ready.
func (h *hunt) reset(n int) {
	if len(h.row) != n {
		h.row, h.next = make([]cost, n), make([]cost, n)
	}
	for u := range h.row {
		h.row[u] = dearest
	}
}

// table returns the next table of picks, with memory used again.
func (h *hunt) table(n int) []pick {
	i := len(h.tables)
	if i < cap(h.tables) {
		h.tables = h.tables[:i+1]
	} else {
		h.tables = append(h.tables, nil)
	}
	if len(h.tables[i]) != n {
		h.tables[i] = make([]pick, n)
	}
	for u := range h.tables[i] {
		h.tables[i][u].way = -1
	}
	return h.tables[i]
}
