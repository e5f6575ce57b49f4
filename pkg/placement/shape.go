package placement

import (
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
	fronts     []*front          // by domain; nil where not known
	inners     []*inner          // by domain; nil where not known
	nothing    *front            // of a domain in which nothing can be placed
	hosts      map[string]*front // by what decides over the front
	kinds      map[string]*front // by the front's entries
	joins      memo[[2]*front]
	closings   memo[closing]
	build      builder
	room       []cluster.Resources // scratch, by minor class
	key        []byte              // scratch
	seen       int                 // entries of the journal that are taken in
}

// maxStates bounds the memory of a join: vectors of minor counts times members of
// the major class.
const maxStates = 1 << 20

// maxHosts is the number of kinds of hosts after which a shape starts afresh.
const maxHosts = 1 << 16

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
	most := max(x.offered.Get(resource), x.free.of(resource, 0))
	return uint(max(0, bits.Len64(uint64(most))-leftBits+1))
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
	s.fronts, s.inners = make([]*front, domains), make([]*inner, domains)
	s.hosts, s.kinds = map[string]*front{}, map[string]*front{}
	s.joins, s.closings = memo[[2]*front]{}, memo[closing]{}
	s.build.begin(s.minors, 0)
	s.build.offer(0, 0, cost{}, -1)
	s.nothing = s.build.finish()
}

// entries is about the number of entries of all fronts that a shape remembers.
func (s *shape) entries() int {
	return s.joins.entries + s.joins.before + s.closings.entries + s.closings.before
}

// refresh takes in what changed since the shape was last used.
func (s *shape) refresh() {
	changed, ok := s.x.journal.since(s.seen)
	if !ok || len(s.hosts) > maxHosts {
		s.forget()
	} else {
		for _, node := range changed {
			for d := s.x.tree.Leaf(int(node)); d >= 0; d = s.x.tree.Domains[d].Parent {
				s.fronts[d], s.inners[d] = nil, nil
			}
		}
	}
	s.seen = s.x.journal.now()
}

// left is what is free of the primary resource in a domain, in units.
func (s *shape) left(d int) uint64 {
	return uint64(s.x.free.of(s.primary, d)) >> s.shift
}
