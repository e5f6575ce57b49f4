package placement

import "lockstep.dev/lockstep/pkg/cluster"

// states numbers the count vectors of a request: how many members of each class
// a domain holds. With counts k the vector v has the number sum of v[c]*stride[c]
// (mixed radix), so vectors add as their numbers do while no class runs over.
type states struct {
	counts []int // k, by class
	stride []int
	coord  []int32 // by state, then class
	n      int
}

func newStates(classes []Class) *states {
	s := &states{n: 1}
	for _, c := range classes {
		s.counts = append(s.counts, c.Count)
		s.stride = append(s.stride, s.n)
		s.n *= c.Count + 1
	}
	s.coord = make([]int32, s.n*len(classes))
	for state := range s.n {
		for c := range classes {
			s.coord[state*len(classes)+c] = int32(state / s.stride[c] % (s.counts[c] + 1))
		}
	}
	return s
}

// stateCount is the number of states newStates would make, at most limit+1.
func stateCount(classes []Class, limit int) int {
	n := 1
	for _, c := range classes {
		if n *= c.Count + 1; n > limit {
			return limit + 1
		}
	}
	return n
}

// full is the state that holds every member.
func (s *states) full() int { return s.n - 1 }

// vector returns the counts of a state. The slice belongs to s.
func (s *states) vector(state int) []int32 {
	c := len(s.counts)
	return s.coord[state*c : state*c+c]
}

// canAdd reports whether a and b together stay within every class's count.
func (s *states) canAdd(a, b int) bool {
	if len(s.counts) == 1 {
		return a+b < s.n
	}
	va, vb := s.vector(a), s.vector(b)
	for c, k := range s.counts {
		if int(va[c]+vb[c]) > k {
			return false
		}
	}
	return true
}

// members is the number of members in a state.
func (s *states) members(state int) int {
	n := 0
	for _, v := range s.vector(state) {
		n += int(v)
	}
	return n
}

// onNode lists the states that fit on one node, ascending: its whole staircase.
func (s *states) onNode(classes []Class, node int, free cluster.Resources) []int32 {
	reach := []int32{0}
	room := []cluster.Resources{free}
	for c, class := range classes {
		if class.Eligible != nil && !class.Eligible(node) {
			continue
		}
		for i, known := 0, len(reach); i < known; i++ {
			slots := class.Requests.Slots(room[i], class.Count)
			left := room[i]
			for v := 1; v <= slots; v++ {
				left = left.Clone().Sub(class.Requests)
				reach = append(reach, reach[i]+int32(v*s.stride[c]))
				room = append(room, left)
			}
		}
	}
	return reach
}
