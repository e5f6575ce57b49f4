package placement

import "math/bits"

// cost is what opening domains costs, compared field by field. All three are
// sums over the domains opened, whatever is placed there.
type cost struct {
	// counts holds the number of domains by level, a field of bits for each with
	// the widest level highest: adding adds the numbers, comparing compares level
	// by level.
	counts uint64
	// left is the free amount of the primary resource in the hosts opened (high
	// half) and in the domains of the level above (low half), in units.
	left uint64
	// even is the sum of the squares of the capacities opened: of two ways with
	// the same capacity in as many domains the more even one has less.
	even uint64
}

func (c cost) plus(d cost) cost {
	return cost{c.counts + d.counts, c.left + d.left, c.even + d.even}
}

func (c cost) less(d cost) bool {
	if c.counts != d.counts {
		return c.counts < d.counts
	}
	if c.left != d.left {
		return c.left < d.left
	}
	return c.even < d.even
}

// entry is one way to open parts of a domain: what it can hold and what it costs.
type entry struct {
	cost cost
	cap  int32 // members of the major class
	a, b int32 // the entries of the fronts that it was joined from
}

// front is the ways to open a domain, or several domains, of which none holds
// more for less. The entries stand by the number of their vector of minor counts
// and then by cost, so that capacity rises with cost. Immutable once built.
type front struct {
	entries []entry
	start   []int32 // by minor vector: where its entries begin; one more at the end
	a, b    *front  // joined from; nil for one domain
	n       int     // number of domains
	max     int32   // largest capacity
	rough   bool    // ways were left out that might have needed fewer hosts
	thin    *view   // made when first needed
}

// empty reports whether nothing can be placed there.
func (f *front) empty() bool {
	return len(f.entries) == 1 && f.max == 0 && f.start[1] == 1
}

// reaching is the cheapest entry of vector u that has the capacity; -1 for none.
func (f *front) reaching(u int, capacity int32) int32 {
	for i := f.start[u]; i < f.start[u+1]; i++ {
		if f.entries[i].cap >= capacity {
			return i
		}
	}
	return -1
}

// view is a choice of a front's entries, in their order.
type view struct {
	at    []int32
	start []int32
}

// maxPairs is the number of pairs of entries up to which a join weighs them all.
// Above it only the entry with the largest capacity of each count of domains is
// looked at: that still finds the fewest domains, but maybe not the best fit.
// Above roughPairs, less where there are many vectors of minor counts and so many
// joins of this size, only some of these are: enough to find out what fits, and
// for the fewest domains at every level but the hosts'.
const (
	maxPairs   = 1 << 12
	roughPairs = 1 << 20
)

// views chooses the entries of two fronts that a join looks at. hostMask is the
// field of hosts in cost.counts.
func views(a, b *front, hostMask uint64) (va, vb *view, rough bool) {
	if len(a.entries)*len(b.entries) <= maxPairs {
		return identity(a), identity(b), false
	}
	va, vb = a.thinned(), b.thinned()
	pairs, most := len(va.at)*len(vb.at), max(maxPairs, roughPairs/(len(a.start)-1))
	if pairs <= most {
		return va, vb, false
	}
	step := 1
	for pairs/(step*step) > most {
		step++
	}
	return a.sampled(va, step, hostMask), b.sampled(vb, step, hostMask), true
}

// thinned returns the entries with the largest capacity of each count of domains.
func (f *front) thinned() *view {
	if f.thin == nil {
		f.thin = f.choose(identity(f), func(_ int, e, next *entry) bool {
			return e.cost.counts != next.cost.counts
		})
	}
	return f.thin
}

// sampled returns every so many entries of a view and those with the largest
// capacity of each count of domains, hosts apart.
func (f *front) sampled(v *view, step int, hostMask uint64) *view {
	return f.choose(v, func(i int, e, next *entry) bool {
		return i%step == 0 || e.cost.counts&^hostMask != next.cost.counts&^hostMask
	})
}

// choose returns the entries of a view that keep wants, given each with its
// place and the next of the same vector; the last of a vector always stays.
func (f *front) choose(from *view, keep func(i int, e, next *entry) bool) *view {
	v := &view{start: make([]int32, len(f.start))}
	for u := range len(f.start) - 1 {
		v.start[u] = int32(len(v.at))
		for i := from.start[u]; i < from.start[u+1]; i++ {
			if i+1 == from.start[u+1] || keep(int(i), &f.entries[from.at[i]], &f.entries[from.at[i+1]]) {
				v.at = append(v.at, from.at[i])
			}
		}
	}
	v.start[len(v.start)-1] = int32(len(v.at))
	return v
}

// builder collects ways and keeps those that are not dominated. One serves a
// whole index: its memory is used again.
type builder struct {
	minors *minors
	limit  int32 // capacities above count as this
	width  int
	best   []way  // by minor vector, then capacity
	cheap  []cost // the same places: the cheapest way that holds as much or more
	kept   []place
	stamp  uint32
}

// way is the cheapest way known for a minor vector and a capacity.
type way struct {
	cost  cost
	a, b  int32
	stamp uint32 // of the front that it belongs to
}

type place struct{ u, cap int32 }

func (w *builder) begin(m *minors, limit int32) {
	w.minors, w.limit, w.width = m, limit, int(limit)+1
	if need := m.n * w.width; need > len(w.best) {
		w.best, w.cheap = make([]way, need), make([]cost, need)
		w.stamp = 0
	}
	if w.stamp++; w.stamp == 0 { // wrapped around: what is left there may look new
		clear(w.best)
		w.stamp = 1
	}
}

// offer takes in one way, which comes from entry a of one front at most.
func (w *builder) offer(u int, capacity int32, c cost, a int32) {
	at := &w.best[u*w.width+int(min(capacity, w.limit))]
	if at.stamp != w.stamp || c.less(at.cost) {
		*at = way{c, a, -1, w.stamp}
	}
}

// none is dearer than any way.
var none = cost{counts: 1<<64 - 1, left: 1<<64 - 1, even: 1<<64 - 1}

// finish returns the ways that hold more, in some class, than any that is as cheap.
func (w *builder) finish() *front {
	w.kept = w.kept[:0]
	m := w.minors
	for u := m.n - 1; u >= 0; u-- {
		below := none
		for c := w.width - 1; c >= 0; c-- {
			bound := below
			for i, stride := range m.stride {
				if int(m.digit(u, i)) == m.count[i] {
					continue
				}
				if other := w.cheap[(u+stride)*w.width+c]; other.less(bound) {
					bound = other
				}
			}
			at := &w.best[u*w.width+c]
			if at.stamp == w.stamp && at.cost.less(bound) {
				w.kept = append(w.kept, place{int32(u), int32(c)})
				bound = at.cost
			}
			below = bound
			w.cheap[u*w.width+c] = bound
		}
	}
	f := &front{entries: make([]entry, len(w.kept)), start: make([]int32, m.n+1), n: 1}
	for i, k := range w.kept {
		at := &w.best[int(k.u)*w.width+int(k.cap)]
		f.entries[len(w.kept)-1-i] = entry{cost: at.cost, cap: k.cap, a: at.a, b: at.b}
		f.start[k.u+1]++
		f.max = max(f.max, k.cap)
	}
	for u := range m.n {
		f.start[u+1] += f.start[u]
	}
	return f
}

// join combines two fronts: every way of one with every way of the other.
func (w *builder) join(s *shape, a, b *front) *front {
	m := s.minors
	w.begin(m, min(s.clamp, a.max+b.max))
	va, vb, rough := views(a, b, s.hostMask)
	for ua := range m.n {
		from, to := va.start[ua], va.start[ua+1]
		if from == to {
			continue
		}
		for ub := range m.n {
			if vb.start[ub] == vb.start[ub+1] {
				continue
			}
			w.pairs(m.add(ua, ub), a, b, va.at[from:to], vb.at[vb.start[ub]:vb.start[ub+1]])
		}
	}
	f := w.finish()
	f.a, f.b, f.n = a, b, a.n+b.n
	f.rough = rough || a.rough || b.rough
	return f
}

// pairs offers every pair of two lists of entries. It is where the time goes.
func (w *builder) pairs(u int, a, b *front, as, bs []int32) {
	row := w.best[u*w.width : (u+1)*w.width]
	for _, ia := range as {
		ea := &a.entries[ia]
		for _, ib := range bs {
			eb := &b.entries[ib]
			capacity := min(ea.cap+eb.cap, w.limit)
			c := ea.cost.plus(eb.cost)
			at := &row[capacity]
			if at.stamp != w.stamp || c.less(at.cost) {
				*at = way{c, ia, ib, w.stamp}
			}
			if capacity == w.limit {
				break // the entries that follow hold no more and cost more
			}
		}
	}
}

// counting is 0, 1, 2, …, as long as any front was; see identity.
var counting = func() []int32 {
	at := make([]int32, 1<<12)
	for i := range at {
		at[i] = int32(i)
	}
	return at
}()

// identity is the view of all the entries of a front that is short enough for it.
func identity(f *front) *view {
	if len(f.entries) <= len(counting) {
		return &view{at: counting[:len(f.entries)], start: f.start}
	}
	at := make([]int32, len(f.entries))
	for i := range at {
		at[i] = int32(i)
	}
	return &view{at: at, start: f.start}
}

// minors numbers the vectors of counts of all classes but the major one: with
// counts k the vector v has the number sum of v[i]*stride[i] (mixed radix).
type minors struct {
	class  []int // the class of each place
	count  []int
	stride []int
	n      int     // number of vectors
	digits []int32 // by vector, then place
}

// newMinors numbers the vectors for the given counts; nil if there are more than limit.
func newMinors(class, count []int, limit int) *minors {
	m := &minors{class: class, count: count, n: 1}
	for _, k := range count {
		m.stride = append(m.stride, m.n)
		hi, n := bits.Mul64(uint64(m.n), uint64(k)+1)
		if hi != 0 || n > uint64(limit) {
			return nil
		}
		m.n = int(n)
	}
	m.digits = make([]int32, m.n*len(count))
	for u := range m.n {
		for i := range count {
			m.digits[u*len(count)+i] = int32(u / m.stride[i] % (count[i] + 1))
		}
	}
	return m
}

// digit is the count at place i of vector u.
func (m *minors) digit(u, i int) int32 { return m.digits[u*len(m.count)+i] }

// full is the vector with every member.
func (m *minors) full() int { return m.n - 1 }

// add adds two vectors; counts above the whole count as the whole.
func (m *minors) add(a, b int) int {
	sum := 0
	for i, k := range m.count {
		sum += m.stride[i] * min(k, int(m.digit(a, i)+m.digit(b, i)))
	}
	return sum
}
