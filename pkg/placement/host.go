package placement

import (
	"encoding/binary"

	"lockstep.dev/lockstep/pkg/cluster"
)

// host is the front of one node: its staircase. capacity is, by class, what the
// node holds of the class alone.
func (s *shape) host(node int, capacity []int64, fixed bool) *front {
	free := s.x.nodes[node].Free
	key := s.key[:0]
	if fixed {
		key = append(key, 1)
	} else {
		key = binary.AppendUvarint(key, s.left(s.x.tree.Leaf(node))<<1)
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
	s.build.offer(0, 0, cost{}, -1)
	s.stairs(node, 0, stair{room: free}, capacity, fixed)
	f := s.kind(s.build.finish())
	s.hosts[raw] = f
	return f
}

// stair is a vector of minor counts in the making: its number, what is free beside
// the members so far, and the groups of those that keep apart.
type stair struct {
	u     int
	room  cluster.Resources
	apart uint64
}

// stairs offers the largest major count for every vector of minor counts that
// fits on the node, from the given place of the vector on.
func (s *shape) stairs(node, place int, at stair, capacity []int64, fixed bool) {
	if place == len(s.minors.class) {
		major := s.classes[s.major]
		n := int32(min(int64(s.clamp), capacity[s.major]))
		if place > 0 {
			n = int32(major.Requests.Slots(at.room, major.perNode(int(n))))
		}
		if major.Apart&at.apart != 0 {
			n = 0
		}
		u, n := s.round(s.x.tree.Hosts(), at.u, n)
		s.build.offer(u, n, s.opening(s.x.tree.Leaf(node), u, n, fixed), -1)
		return
	}
	class := &s.classes[s.minors.class[place]]
	most := int(min(capacity[s.minors.class[place]], int64(s.minors.count[place])))
	if class.Apart&at.apart != 0 {
		most = 0
	}
	room := append(s.room[place][:0], at.room...)
	s.room[place] = room
	for v := 0; ; v++ {
		s.stairs(node, place+1, stair{at.u + v*s.minors.stride[place], room, at.apart}, capacity, fixed)
		if v >= most || !class.Requests.Fits(room) {
			return
		}
		room = room.Sub(class.Requests)
		s.room[place] = room
		at.apart |= class.Apart
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
		c.left = s.left(d) << leftBits
	case s.x.tree.Hosts() - 1:
		c.left = s.left(d)
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
