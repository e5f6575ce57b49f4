package placement

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
)

// shape is what an index knows about gangs of the same classes and counts: the
// fronts of the domains, made when first asked for.
type shape struct {
	x          *Index
	classes    []Class
	major      int // the class with the most members
	minors     *minors
	clamp      int32   // members of the major class; more capacity is of no use
	slice      []int32 // by class: members that have to stay together
	sliceLevel int     // -1 without slices
	field      []uint  // by level: where its number stands in cost.counts
	hostMask   uint64  // that of hosts
	exact      bool    // every level has its field
	asked      []int   // the resources that some class asks for
	primary    int     // the resource that left-over is measured in
	shift      uint    // in units of 2^shift
	slots      []*slots
	free       []uint64          // by domain, in units
	fronts     []*front          // by domain; nil where not known
	inners     []*inner          // by domain; nil where not known
	nothing    *front            // of a domain in which nothing can be placed
	hosts      map[string]*front // by what decides over the front
	kinds      map[string]*front // by the front's entries
	joins      map[[2]*front]*front
	closings   map[closing]*front
	build      builder
	room       []cluster.Resources // scratch, by minor class
	key        []byte              // scratch
	seen       int                 // entries of the journal that are taken in
}

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

// maxMinor is the number of vectors of minor counts up to which gangs are
// planned exactly, maxMinorSlow where the other method has found nothing;
// maxStates bounds the memory of a join: vectors times members of the major class.
const (
	maxMinor     = 64
	maxMinorSlow = 1 << 12
	maxStates    = 1 << 20
)

// maxRemembered is the number of joins after which a shape starts afresh.
const maxRemembered = 1 << 16

// shapeOf returns what is known for the request's classes, up to date. It is nil
// where they are too varied: more than limit vectors of minor counts.
func (x *Index) shapeOf(req Request, sparing bool, limit int) *shape {
	key, opaque := x.shapeKey(req, sparing)
	s, known := (*shape)(nil), false
	if !opaque {
		s, known = x.shapes.get(key)
	}
	if !known {
		if s = newShape(x, req, limit); s == nil {
			return nil
		}
		if !opaque {
			x.shapes.put(key, s)
		}
	}
	for c, class := range req.Classes {
		s.slots[c] = x.slotsOf(class, sparing)
	}
	s.refresh()
	return s
}

// shapeKey tells shapes apart; opaque is true where it cannot.
func (x *Index) shapeKey(req Request, sparing bool) (key string, opaque bool) {
	var b []byte
	for c, class := range req.Classes {
		opaque = opaque || class.opaque()
		b = class.appendKey(b, sparing)
		b = binary.AppendUvarint(b, uint64(class.Count))
		b = binary.AppendUvarint(b, uint64(req.slice(c)))
	}
	b = binary.AppendUvarint(b, uint64(req.SliceLevel))
	b = append(b, byte(x.shiftOf(req.Total().Primary())))
	return string(b), opaque
}

// leftBits is the number of bits for one half of cost.left.
const leftBits = 32

// shiftOf says in which units an amount has to be counted so that the whole
// cluster's fits in half of cost.left.
func (x *Index) shiftOf(resource int) uint {
	return uint(max(0, bits.Len64(uint64(max(0, x.offered.Get(resource))))-leftBits+1))
}

func newShape(x *Index, req Request, limit int) *shape {
	s := &shape{
		x: x, classes: slices.Clone(req.Classes), sliceLevel: -1, seen: -1,
		slots: make([]*slots, len(req.Classes)), slice: make([]int32, len(req.Classes)),
	}
	var class, count []int
	for c := range s.classes {
		s.slice[c] = int32(req.slice(c))
		if s.classes[c].Count > s.classes[s.major].Count {
			s.major = c
		}
	}
	for c := range s.classes {
		if c != s.major {
			class, count = append(class, c), append(count, s.classes[c].Count)
		}
	}
	s.minors = newMinors(class, count, limit)
	if s.minors == nil || s.minors.n > maxStates/(s.classes[s.major].Count+1)+1 {
		return nil
	}
	s.room = make([]cluster.Resources, len(class)+1)
	s.clamp = int32(s.classes[s.major].Count)
	if req.SliceSize > 1 {
		s.sliceLevel = req.SliceLevel
	}
	for i, amount := range req.Total() {
		if amount > 0 {
			s.asked = append(s.asked, i)
		}
	}
	s.primary = req.Total().Primary()
	s.shift = x.shiftOf(s.primary)
	s.layout(req.Size())
	s.forget()
	return s
}

// layout gives each level as many bits as its number can ever need.
func (s *shape) layout(size int) {
	tree := s.x.tree
	s.field = make([]uint, tree.Hosts()+1)
	width := make([]uint, tree.Hosts()+1)
	room := uint(64)
	s.exact = true
	for level := 1; level <= tree.Hosts(); level++ { // the widest first, should there be too many
		need := uint(bits.Len(uint(2 * min(size, len(tree.AtLevel(level))))))
		if need > room {
			s.exact = false
			continue
		}
		width[level], room = need, room-need
	}
	at := uint(0)
	for level := tree.Hosts(); level > 0; level-- {
		s.field[level] = at
		if width[level] == 0 {
			s.field[level] = 64 // shifts out: not counted
		}
		at += width[level]
	}
	s.hostMask = 1<<width[tree.Hosts()] - 1 // the narrowest level is the lowest field
}

// forget drops all fronts.
func (s *shape) forget() {
	domains := len(s.x.tree.Domains)
	s.free, s.fronts, s.inners = make([]uint64, domains), make([]*front, domains), make([]*inner, domains)
	s.hosts, s.kinds = map[string]*front{}, map[string]*front{}
	s.joins, s.closings = map[[2]*front]*front{}, map[closing]*front{}
	s.build.begin(s.minors, 0)
	s.build.offer(0, 0, cost{}, -1, -1)
	s.nothing = s.build.finish()
}

// refresh takes in what changed since the shape was last used.
func (s *shape) refresh() {
	changed, ok := s.x.journal.since(s.seen)
	if !ok || len(s.joins)+len(s.hosts)+len(s.closings) > maxRemembered {
		s.forget()
		for node := range s.x.nodes {
			s.take(node)
		}
	} else {
		for _, node := range changed {
			s.take(int(node))
		}
	}
	s.seen = s.x.journal.now()
}

// take drops the fronts of the domains a node stands in and counts its free amount.
func (s *shape) take(node int) {
	tree := s.x.tree
	leaf := tree.Leaf(node)
	change := s.units(node) - s.free[leaf] // may wrap around, and back below
	for d := leaf; d >= 0; d = tree.Domains[d].Parent {
		s.free[d] += change
		s.fronts[d], s.inners[d] = nil, nil
	}
}

// units is what is free of the primary resource on a node.
func (s *shape) units(node int) uint64 {
	n := &s.x.nodes[node]
	amount := max(0, n.Free.Get(s.primary))
	if offered := n.Allocatable.Get(s.primary); offered > 0 {
		amount = min(amount, offered)
	}
	return min(uint64(amount)>>s.shift, 1<<(leftBits-1)/uint64(len(s.x.nodes)))
}

// host is the front of one node: its staircase. capacity is, by class, what the
// node holds of the class alone.
func (s *shape) host(node int, capacity []int64, fixed bool) *front {
	free := s.x.nodes[node].Free
	key := s.key[:0]
	if fixed {
		key = append(key, 1)
	} else {
		key = binary.AppendUvarint(key, s.free[s.x.tree.Leaf(node)]<<1)
	}
	for c, n := range capacity {
		key = binary.AppendVarint(key, min(n, int64(s.classes[c].Count)))
	}
	if len(capacity) > 1 {
		for i := range s.asked {
			key = binary.AppendVarint(key, free.Get(s.asked[i]))
		}
	}
	s.key = key
	if f, known := s.hosts[string(key)]; known {
		return f
	}
	raw := string(key)
	s.build.begin(s.minors, int32(min(int64(s.clamp), capacity[s.major])))
	s.build.offer(0, 0, cost{}, -1, -1)
	s.stairs(node, 0, 0, free, capacity, fixed)
	f := s.kind(s.build.finish())
	s.hosts[raw] = f
	return f
}

// stairs offers the largest major count for every vector of minor counts that
// fits on the node, from the given place of the vector on.
func (s *shape) stairs(node, place, u int, free cluster.Resources, capacity []int64, fixed bool) {
	if place == len(s.minors.class) {
		n := int32(min(int64(s.clamp), capacity[s.major]))
		if place > 0 {
			n = int32(s.classes[s.major].Requests.Slots(free, int(n)))
		}
		u, n = s.round(s.x.tree.Hosts(), u, n)
		s.build.offer(u, n, s.opening(s.x.tree.Leaf(node), u, n, fixed), -1, -1)
		return
	}
	class := s.minors.class[place]
	most := int(min(capacity[class], int64(s.minors.count[place])))
	room := append(s.room[place][:0], free...)
	s.room[place] = room
	for v := 0; ; v++ {
		s.stairs(node, place+1, u+v*s.minors.stride[place], room, capacity, fixed)
		if v >= most || !s.classes[class].Requests.Fits(room) {
			return
		}
		room = room.Sub(s.classes[class].Requests)
		s.room[place] = room
	}
}

// round cuts counts down to whole slices in a domain of the slice level.
func (s *shape) round(level, u int, capacity int32) (int, int32) {
	if level != s.sliceLevel {
		return u, capacity
	}
	for i, class := range s.minors.class {
		u -= int(s.minors.digit(u, i)%s.slice[class]) * s.minors.stride[i]
	}
	return u, capacity - capacity%s.slice[s.major]
}

// opening is what it costs to use a domain for the given counts. Domains that
// hold fixed members are open already.
func (s *shape) opening(d, u int, capacity int32, fixed bool) cost {
	level := s.x.tree.Domains[d].Level
	if u == 0 && capacity == 0 || fixed || level == 0 {
		return cost{}
	}
	c := cost{counts: 1 << s.field[level], even: uint64(capacity) * uint64(capacity)}
	switch level {
	case s.x.tree.Hosts():
		c.left = s.free[d] << leftBits
	case s.x.tree.Hosts() - 1:
		c.left = s.free[d]
	}
	return c
}

// kind returns the one front that stands for all hosts that offer the same.
func (s *shape) kind(f *front) *front {
	key := s.key[:0]
	for u := range s.minors.n {
		key = binary.AppendUvarint(key, uint64(f.start[u+1]-f.start[u]))
	}
	for _, e := range f.entries {
		key = binary.AppendUvarint(key, uint64(e.cap))
		key = binary.AppendUvarint(key, e.cost.left)
		key = binary.AppendUvarint(key, e.cost.counts)
	}
	s.key = key
	if known, ok := s.kinds[string(key)]; ok {
		return known
	}
	s.kinds[string(key)] = f
	return f
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
		fronts = s.powers(in.kids, fronts)
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
			j := b.start[ub+1] - 1 // the first that is large enough, as a's capacity rises
			for i := a.start[ua]; i < a.start[ua+1]; i++ {
				need := s.clamp - a.entries[i].cap
				if b.entries[j].cap < need {
					continue
				}
				for j > b.start[ub] && b.entries[j-1].cap >= need {
					j--
				}
				if c := a.entries[i].cost.plus(b.entries[j].cost); c.less(best) {
					best, ia, ib, ok = c, i, j, true
				}
			}
		}
	}
	return best, ia, ib, ok
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

// powers joins the fronts of hosts that are alike as powers of one. It brings the
// hosts into the order in which they are joined: by what they offer.
func (s *shape) powers(kids []int32, fronts []*front) []*front {
	var kinds []*front
	for _, f := range fronts {
		f.run = 0
	}
	for _, f := range fronts {
		if f.run == 0 {
			kinds = append(kinds, f)
		}
		f.run++
	}
	slices.SortFunc(kinds, compareFronts)
	at := 0
	powers := make([]*front, len(kinds))
	for i, f := range kinds {
		powers[i] = s.power(f, f.run)
		at, f.run = at+f.run, at
	}
	ordered := make([]int32, len(kids))
	for i, f := range fronts {
		ordered[f.run] = kids[i]
		f.run++
	}
	copy(kids, ordered)
	return powers
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

// compareFronts orders fronts by what they offer, the roomiest first.
func compareFronts(a, b *front) int {
	if a.max != b.max {
		return int(b.max) - int(a.max)
	}
	if c := slices.Compare(a.start, b.start); c != 0 {
		return c
	}
	return slices.CompareFunc(a.entries, b.entries, func(x, y entry) int {
		if x.cap != y.cap {
			return int(y.cap) - int(x.cap)
		}
		return cmp.Or(cmp.Compare(x.cost.left, y.cost.left), cmp.Compare(x.cost.counts, y.cost.counts))
	})
}

// join joins two fronts once.
func (s *shape) join(a, b *front) *front {
	key := [2]*front{a, b}
	f, known := s.joins[key]
	if !known {
		f = s.build.join(s.minors, s.clamp, s.hostMask, a, b)
		s.joins[key] = f
	}
	return f
}

// close adds what opening the domain itself costs.
func (s *shape) close(d int, inner *front, fixed bool) *front {
	level := s.x.tree.Domains[d].Level
	key := closing{inner, level, s.free[d]}
	if f, known := s.closings[key]; known && !fixed {
		return f
	}
	s.build.begin(s.minors, inner.max)
	for u := range s.minors.n {
		for i := inner.start[u]; i < inner.start[u+1]; i++ {
			e := &inner.entries[i]
			v, capacity := s.round(level, u, e.cap)
			s.build.offer(v, capacity, e.cost.plus(s.opening(d, v, capacity, fixed)), i, -1)
		}
	}
	f := s.build.finish()
	f.rough = inner.rough
	if !fixed {
		s.closings[key] = f
	}
	return f
}
