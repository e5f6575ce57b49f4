package placement

import (
	"cmp"
	"slices"
)

// inner is what the children of a domain offer together, without what opening
// the domain itself costs: two fronts that are still to be joined, for whoever
// wants the whole gang in this domain needs only the best pair.
type inner struct {
	a, b *front  // b is nil where there is only one
	kids []int32 // the children that offer anything, in the order in which they were joined
}

// closing tells the fronts apart that come of the same children.
type closing struct {
	inner *front
	level int
	free  uint64
}

// children joins the fronts of a domain's children, up to the last pair.
func (s *shape) children(d int, child func(d int) *front) *inner {
	domain := &s.x.tree.Domains[d]
	in := &inner{a: s.nothing, kids: make([]int32, 0, len(domain.Children))}
	fronts := make([]*front, 0, len(domain.Children))
	for _, c := range domain.Children {
		if f := child(c); !f.empty() {
			in.kids = append(in.kids, int32(c))
			fronts = append(fronts, f)
		}
	}
	if domain.Level == s.x.tree.Hosts()-1 {
		in.kids, fronts = s.powers(in.kids, fronts)
	}
	switch n := len(fronts); n {
	case 0:
	case 1:
		in.a = fronts[0]
	default:
		in.a, in.b = s.joinAll(fronts[:n/2]), s.joinAll(fronts[n/2:])
	}
	return in
}

// joined joins the last pair as well.
func (s *shape) joined(in *inner) *front {
	if in.b == nil {
		return in.a
	}
	return s.join(in.a, in.b)
}

// bestOf is the cheapest way for the children of a domain to hold the whole gang
// and the entries of both fronts that it comes from.
func (s *shape) bestOf(in *inner) (best cost, ia, ib int32, ok bool) {
	full := s.minors.full()
	a, b := in.a, in.b
	if b == nil {
		if i := a.reaching(full, s.clamp); i >= 0 {
			return a.entries[i].cost, i, -1, true
		}
		return none, -1, -1, false
	}
	best = none
	for ua := range s.minors.n {
		for ub := range s.minors.n {
			if a.start[ua] == a.start[ua+1] || b.start[ub] == b.start[ub+1] || s.minors.add(ua, ub) != full {
				continue
			}
			if c, i, j := cheapest(a, b, ua, ub, s.clamp); c.less(best) {
				best, ia, ib, ok = c, i, j, true
			}
		}
	}
	return best, ia, ib, ok
}

// cheapest is the cheapest pair of entries, one of a with the minor vector ua and
// one of b with ub, whose capacities make up clamp; its cost is none if there is no
// such pair. Either front has entries there.
func cheapest(a, b *front, ua, ub int, clamp int32) (best cost, ia, ib int32) {
	best = none
	j := b.start[ub+1] - 1 // the first that is large enough, as a's capacity rises
	for i := a.start[ua]; i < a.start[ua+1]; i++ {
		need := clamp - a.entries[i].cap
		if b.entries[j].cap < need {
			continue
		}
		for j > b.start[ub] && b.entries[j-1].cap >= need {
			j--
		}
		if c := a.entries[i].cost.plus(b.entries[j].cost); c.less(best) {
			best, ia, ib = c, i, j
		}
	}
	return best, ia, ib
}

// joinAll joins fronts two by two, so that a change of one costs the logarithm
// of their number.
func (s *shape) joinAll(fronts []*front) *front {
	if len(fronts) == 1 {
		return fronts[0]
	}
	half := len(fronts) / 2
	return s.join(s.joinAll(fronts[:half]), s.joinAll(fronts[half:]))
}

// powers joins the fronts of hosts that are alike as powers of one. It returns the
// hosts in the order in which they are joined, by what they offer, without those
// that are of no use beside others just as good.
func (s *shape) powers(kids []int32, fronts []*front) ([]int32, []*front) {
	var kinds []*front
	hosts := map[*front][]int32{}
	for i, f := range fronts {
		if hosts[f] == nil {
			kinds = append(kinds, f)
		}
		hosts[f] = append(hosts[f], kids[i])
	}
	slices.SortFunc(kinds, compareFronts)
	var ordered []int32
	var powers []*front
	useful := 0
	for i, f := range kinds {
		if i == 0 || !sameStairs(kinds[i-1], f) {
			useful = s.enough(f)
		}
		if n := min(useful, len(hosts[f])); n > 0 {
			ordered, powers = append(ordered, hosts[f][:n]...), append(powers, s.power(f, n))
			useful -= n
		}
	}
	return ordered, powers
}

// enough is the number of hosts of a kind that hold the whole gang, class by class;
// classes that it cannot hold are left out. No plan needs more of them.
func (s *shape) enough(f *front) int {
	n := 0
	if f.max > 0 {
		n += int((s.clamp + f.max - 1) / f.max)
	}
	for i, count := range s.minors.count {
		most := 0
		for u := range s.minors.n {
			if f.start[u] < f.start[u+1] {
				most = max(most, int(s.minors.digit(u, i)))
			}
		}
		if most > 0 {
			n += (count + most - 1) / most
		}
	}
	return n
}

// power joins n fronts that are all the same.
func (s *shape) power(f *front, n int) *front {
	if n == 1 {
		return f
	}
	half := s.power(f, n/2)
	whole := s.join(half, half)
	if n%2 == 1 {
		whole = s.join(whole, f)
	}
	return whole
}

// compareFronts orders fronts by what they offer, the roomiest first, and then by
// what is left.
func compareFronts(a, b *front) int {
	return cmp.Or(compareStairs(a, b), slices.CompareFunc(a.entries, b.entries, func(x, y entry) int {
		return cmp.Compare(x.cost.left, y.cost.left)
	}))
}

func sameStairs(a, b *front) bool { return compareStairs(a, b) == 0 }

// compareStairs orders fronts by what they offer alone.
func compareStairs(a, b *front) int {
	return cmp.Or(cmp.Compare(b.max, a.max), slices.Compare(a.start, b.start),
		slices.CompareFunc(a.entries, b.entries, func(x, y entry) int {
			return cmp.Or(cmp.Compare(y.cap, x.cap), cmp.Compare(x.cost.counts, y.cost.counts))
		}))
}

// join joins two fronts once.
func (s *shape) join(a, b *front) *front {
	key := [2]*front{a, b}
	f, known := s.joins.get(key)
	if !known {
		f = s.build.join(s, a, b)
		s.joins.put(key, f)
	}
	return f
}

// close adds what opening the domain itself costs.
func (s *shape) close(d int, inner *front, fixed bool) *front {
	level := s.x.tree.Domains[d].Level
	key := closing{inner, level, s.left(d)}
	if f, known := s.closings.get(key); known && !fixed {
		return f
	}
	s.build.begin(s.minors, inner.max)
	for u := range s.minors.n {
		for i := inner.start[u]; i < inner.start[u+1]; i++ {
			e := &inner.entries[i]
			v, capacity := s.round(level, u, e.cap)
			s.build.offer(v, capacity, e.cost.plus(s.opening(d, v, capacity, fixed)), i)
		}
	}
	f := s.build.finish()
	f.rough = inner.rough
	if !fixed {
		s.closings.put(key, f)
	}
	return f
}
