package preemption

import (
	"cmp"
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
)

// way is a set of parts on one node that may go, and the members that fit then.
type way struct {
	u     int // vector of counts
	price cost
	take  uint64 // bits of the open parts
}

// ways are those of one node that are worth weighing, given what is decided.
type ways struct {
	open []place // parts that are not decided
	list []way
}

// maxWays bounds how many sets of parts are looked at on one node.
const maxWays = 1 << 12

// waysAt lists the ways of a place.
func (h *hunt) waysAt(i int) *ways {
	if h.now[i] != nil {
		return h.now[i]
	}
	node := h.nodes[i]
	key := append(h.key[:0], byte(node), byte(node>>8), byte(node>>16), byte(node>>24))
	for _, p := range h.onNode[node] {
		key = append(key, byte(h.state[p.unit]))
	}
	h.key = key
	if known := h.known[string(key)]; known != nil {
		h.now[i] = known
		return known
	}
	w := &ways{}
	free := h.index.Node(node).Free.Clone()
	for _, p := range h.onNode[node] {
		switch part := &h.units[p.unit].parts[p.part]; {
		case h.state[p.unit] == gone:
			free = free.Add(part.freed)
		case h.state[p.unit] == open && h.asked(part.freed):
			w.open = append(w.open, p)
		}
	}
	slices.SortStableFunc(w.open, h.byWorth)
	if len(w.open) > 64 {
		w.open, h.rough = w.open[:64], true
	}
	e := &enumeration{hunt: h, ways: w, may: h.may[i], best: map[int]int{}}
	e.from(0, way{}, free)
	w.thin(len(h.req.Classes) == 1)
	h.known[string(key)], h.now[i] = w, w
	h.work += setWork * e.seen
	return w
}

// byWorth orders parts: what costs less and frees more comes first.
func (h *hunt) byWorth(a, b place) int {
	pa, pb := h.share(a), h.share(b)
	if pa != pb {
		if pa.less(pb) {
			return -1
		}
		return 1
	}
	primary := h.req.Total().Primary()
	return cmp.Compare(h.units[b.unit].parts[b.part].freed.Get(primary), h.units[a.unit].parts[a.part].freed.Get(primary))
}

// share is what a part pays of its unit's price: an equal share of what can be
// divided; the first part in the field pays the rest.
func (h *hunt) share(p place) cost {
	unit := &h.units[p.unit]
	n := int64(h.stands[p.unit].parts)
	each := unit.price[whole] / n
	if h.stands[p.unit].first == p.part {
		c := unit.price
		c[whole] -= each * (n - 1)
		return c
	}
	return cost{whole: each}
}

// standing is how much of a unit stands in a field: parts that free anything of use,
// and the first of them.
type standing struct{ parts, first int }

// enumeration goes through the sets of open parts of one node.
type enumeration struct {
	*hunt
	ways *ways
	may  []bool
	best map[int]int // places in ways.list, by vector
	seen int
}

// from goes through the sets of the parts from number i on, beside those of w. Of
// parts that are alike the first ones go first.
func (e *enumeration) from(i int, w way, free cluster.Resources) {
	if e.seen++; e.seen > maxWays {
		e.rough = true
		return
	}
	full := false
	e.vectors.stairs(free, e.may, func(u int) {
		w.u = u
		e.offer(w)
		full = full || u == e.vectors.full()
	})
	if full {
		return // more room is of no use
	}
	skipped := -1
	for ; i < len(e.ways.open); i++ {
		p := e.ways.open[i]
		if skipped >= 0 && e.alike(e.ways.open[skipped], p) || e.rivalIn(w, p.unit) {
			continue
		}
		next := w
		next.price, next.take = w.price.plus(e.share(p)), w.take|1<<i
		e.from(i+1, next, free.Clone().Add(e.units[p.unit].parts[p.part].freed))
		skipped = i
	}
}

// rivalIn reports whether a unit is left out because of one that goes already.
func (e *enumeration) rivalIn(w way, u int) bool {
	for i, p := range e.ways.open {
		if w.take&(1<<i) != 0 && slices.Contains(e.units[u].rivals, p.unit) {
			return true
		}
	}
	return false
}

// alike parts are as good as one another wherever one of them stands: they free the
// same for the same price, and nothing else depends on their units.
func (e *enumeration) alike(a, b place) bool {
	ua, ub := &e.units[a.unit], &e.units[b.unit]
	if len(ua.parts) > 1 || len(ub.parts) > 1 || len(ua.budgets)+len(ub.budgets)+len(ua.rivals)+len(ub.rivals) > 0 {
		return false
	}
	return ua.price == ub.price && slices.Equal(ua.parts[a.part].freed, ub.parts[b.part].freed)
}

func (e *enumeration) offer(w way) {
	at, known := e.best[w.u]
	if !known {
		e.best[w.u] = len(e.ways.list)
		e.ways.list = append(e.ways.list, w)
	} else if w.price.less(e.ways.list[at].price) {
		e.ways.list[at] = w
	}
}

// thin drops ways that hold no more than a cheaper one (of one class only, where
// vectors are numbers), and puts the list in order.
func (w *ways) thin(oneClass bool) {
	slices.SortFunc(w.list, func(a, b way) int { return b.u - a.u })
	if oneClass {
		kept := w.list[:0]
		for _, way := range w.list {
			if len(kept) == 0 || way.price.less(kept[len(kept)-1].price) {
				kept = append(kept, way)
			}
		}
		w.list = kept
	}
	slices.Reverse(w.list)
}
