package preemption

import "lockstep.dev/lockstep/pkg/cluster"

// trial is a field without some units: what is free then, kept up to date as units
// go and come back.
type trial struct {
	*field
	free   []cluster.Resources // by place
	slots  [][]int             // by place, then class: members of the class alone
	sum    []int               // of slots, by class
	reach  []bool              // scratch, by vector
	before []bool
}

func (f *field) newTrial() *trial {
	t := &trial{
		field: f, free: make([]cluster.Resources, len(f.nodes)), slots: make([][]int, len(f.nodes)),
		sum: make([]int, len(f.req.Classes)),
	}
	for i, node := range f.nodes {
		t.free[i] = f.index.Node(node).Free.Clone()
		t.slots[i] = make([]int, len(f.req.Classes))
		t.count(i)
	}
	return t
}

// count counts the slots of a place again.
func (t *trial) count(i int) {
	for c := range t.req.Classes {
		n := 0
		if t.may[i][c] {
			n = t.req.Classes[c].Requests.Slots(t.free[i], t.req.Classes[c].Count)
		}
		t.sum[c] += n - t.slots[i][c]
		t.slots[i][c] = n
	}
}

// shift lets a unit go (sign 1) or come back (-1).
func (t *trial) shift(u int, sign int) {
	t.work += shiftWork * len(t.units[u].parts)
	for _, part := range t.units[u].parts {
		i, here := t.at(part.node)
		if !here {
			continue
		}
		if sign > 0 {
			t.free[i] = t.free[i].Add(part.freed)
		} else {
			t.free[i] = t.free[i].Sub(part.freed)
		}
		t.count(i)
	}
}

// room is how many members have slots, class by class; at most the gang's size.
func (t *trial) room() int {
	n := 0
	for c, class := range t.req.Classes {
		n += min(class.Count, t.sum[c])
	}
	return n
}

// fits reports whether the whole gang fits.
func (t *trial) fits() bool {
	for c, class := range t.req.Classes {
		if t.sum[c] < class.Count {
			return false
		}
	}
	return len(t.req.Classes) < 2 || t.fitTogether()
}

// fitTogether finds out which vectors of counts the nodes can hold.
func (t *trial) fitTogether() bool {
	t.reach, t.before = append(t.reach[:0], make([]bool, t.vectors.n)...), append(t.before[:0], make([]bool, t.vectors.n)...)
	t.reach[0] = true
	for i := range t.nodes {
		copy(t.before, t.reach)
		t.vectors.stairs(t.free[i], t.may[i], func(u int) {
			if u == 0 {
				return
			}
			t.work += t.vectors.n
			for v, known := range t.before {
				if known {
					t.reach[t.vectors.add(v, u)] = true
				}
			}
		})
		if t.reach[t.vectors.full()] {
			return true
		}
	}
	return false
}
