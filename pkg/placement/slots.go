package placement

import (
	"encoding/binary"

	"lockstep.dev/lockstep/pkg/cluster"
)

// slots counts, for one class, how many members fit in each domain when nothing
// else is placed there.
type slots struct {
	requests cluster.Resources
	most     int // on one node
	eligible func(node int) bool
	sparing  bool    // without the nodes that pods should avoid
	at       []int64 // by domain
	seen     int     // entries of the journal that are taken in
}

// maxSlots is how many members one node counts for at most: enough for any gang,
// little enough for the sum over a cluster.
const maxSlots = 1 << 24

func newSlots(x *Index, class Class, sparing bool) *slots {
	return &slots{
		requests: class.Requests.Clone(), sparing: sparing, most: class.perNode(maxSlots),
		at: make([]int64, len(x.tree.Domains)), seen: -1,
	}
}

// refresh takes in what changed since the counts were last looked at.
func (s *slots) refresh(x *Index, eligible func(node int) bool) {
	s.eligible = eligible
	if changed, ok := x.journal.since(s.seen); ok {
		for _, node := range changed {
			s.count(x, int(node))
		}
	} else {
		for node := range x.nodes {
			s.count(x, node)
		}
	}
	s.seen = x.journal.now()
}

// count counts the node again and carries the difference up the tree.
func (s *slots) count(x *Index, node int) {
	leaf := x.tree.Leaf(node)
	var n int64
	if !(s.sparing && x.nodes[node].Discouraged) && (s.eligible == nil || s.eligible(node)) {
		n = int64(s.requests.Slots(x.nodes[node].Free, s.most))
	}
	change := n - s.at[leaf]
	if change == 0 {
		return
	}
	for d := leaf; d >= 0; d = x.tree.Domains[d].Parent {
		s.at[d] += change
	}
}

// slotsOf returns the counts for a class, remembered if it can be told from others.
func (x *Index) slotsOf(class Class, sparing bool) *slots {
	var key string
	if !class.opaque() {
		key = string(class.appendKey(nil, sparing))
		if s, known := x.slots.get(key); known {
			s.refresh(x, class.Eligible)
			return s
		}
	}
	s := newSlots(x, class, sparing)
	s.refresh(x, class.Eligible)
	if !class.opaque() {
		x.slots.put(key, s)
	}
	return s
}

// perNode is how many members may share a node, at most limit, as far as Apart goes.
func (c Class) perNode(limit int) int {
	if c.Apart != 0 {
		return min(limit, 1)
	}
	return limit
}

// opaque classes cannot be told from others.
func (c Class) opaque() bool { return c.Eligible != nil && c.Key == "" }

// appendKey adds what tells one class from another, the count apart.
func (c Class) appendKey(key []byte, sparing bool) []byte {
	key = binary.AppendUvarint(key, uint64(len(c.Requests)))
	for _, amount := range c.Requests {
		key = binary.AppendVarint(key, amount)
	}
	key = binary.AppendUvarint(key, c.Apart)
	if sparing {
		key = append(key, 1)
	}
	if c.Eligible == nil {
		return append(key, 2)
	}
	key = append(key, 3)
	key = binary.AppendUvarint(key, uint64(len(c.Key)))
	return append(key, c.Key...)
}
