package preemption

import (
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
)

// vectors numbers the vectors of counts by class, up to the counts asked for: v has
// the number sum of v[c]*stride[c] (mixed radix). The last is the whole gang.
type vectors struct {
	classes []placement.Class
	stride  []int
	digits  []int // by vector, then class
	n       int   // 0 where there are more than maxVectors
	room    []cluster.Resources
}

// maxVectors bounds the memory of a knapsack.
const maxVectors = 1 << 13

func newVectors(req placement.Request) vectors {
	v := vectors{classes: req.Classes, n: 1, room: make([]cluster.Resources, len(req.Classes)+1)}
	for _, class := range req.Classes {
		v.stride = append(v.stride, v.n)
		if class.Count >= maxVectors || v.n*(class.Count+1) > maxVectors {
			v.n = 0
			return v
		}
		v.n *= class.Count + 1
	}
	for u := range v.n {
		for c, class := range req.Classes {
			v.digits = append(v.digits, u/v.stride[c]%(class.Count+1))
		}
	}
	return v
}

// full is the vector of the whole gang.
func (v *vectors) full() int { return v.n - 1 }

// add adds two vectors; counts above the whole count as the whole.
func (v *vectors) add(a, b int) int {
	if len(v.classes) == 1 {
		return min(a+b, v.n-1)
	}
	sum, k := 0, len(v.classes)
	da, db := v.digits[a*k:(a+1)*k], v.digits[b*k:(b+1)*k]
	for c, stride := range v.stride {
		sum += stride * min(v.classes[c].Count, da[c]+db[c])
	}
	return sum
}

// stairs visits vectors that fit into free amounts such that every vector that fits
// is nowhere above one of them. may says which classes may use the node.
func (v *vectors) stairs(free cluster.Resources, may []bool, visit func(u int)) {
	v.climb(len(v.classes)-1, 0, free, may, visit)
}

// climb goes through the counts of class c and those before it; of the first class
// only the largest count is of interest.
func (v *vectors) climb(c, u int, free cluster.Resources, may []bool, visit func(u int)) {
	class := &v.classes[c]
	if c == 0 {
		n := 0
		if may[0] {
			n = class.Requests.Slots(free, class.Count)
		}
		visit(u + n)
		return
	}
	room := append(v.room[c][:0], free...)
	for n := 0; ; n++ {
		v.room[c] = room
		v.climb(c-1, u+n*v.stride[c], room, may, visit)
		if n == class.Count || !may[c] || !class.Requests.Fits(room) {
			return
		}
		room = room.Sub(class.Requests)
	}
}
