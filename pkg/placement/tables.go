package placement

import (
	"encoding/binary"
	"math/bits"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// table says, for every state that a domain can hold, what the best way costs.
//
// cost counts the domains used, a field of bits for each level with the widest
// level in the highest bits: adding two costs adds the counts, and comparing two
// compares level by level. left is the free amount of the gang's primary
// resource left behind in the domains broken into: nodes in the highest bits,
// then the level above them, then the rest. Both are sums over domains, which is
// what makes the tree's programme exact.
type table struct {
	reach      []int32 // states that fit, ascending from 0
	cost, left []uint64
	from       [][]int32 // by child, then state: the child's part of the best way
	id         int       // equal domains share one table, and so its number
	free       uint64    // of the primary resource in the domain, in units
}

// solver computes tables bottom-up. Domains that are alike (same free amounts,
// same eligibility, same children) share one table, so the cost follows what
// differs, not how many nodes there are.
type solver struct {
	req     Request
	nodes   []cluster.Node
	tree    *topology.Tree
	states  *states
	tables  []*table // by domain
	alike   map[string]*table
	key     []byte // scratch for the keys of alike
	fixed   []bool // by domain: holds a fixed member, so using it costs nothing
	primary int
	shift   uint     // left is counted in units of 2^shift
	field   []uint   // by level: where its count stands in cost
	amount  []uint64 // by state: primary resource asked for, in units
	allowed func(node int) bool
}

// Bits of left: the fields must not run into each other, so amounts are scaled
// until a whole cluster's fits in one.
const (
	leftBits  = 21
	leftHosts = 2 * leftBits
	leftRacks = leftBits
)

func newSolver(req Request, nodes []cluster.Node, tree *topology.Tree, allowed func(int) bool) *solver {
	s := &solver{
		req: req, nodes: nodes, tree: tree, allowed: allowed,
		states: newStates(req.Classes),
		tables: make([]*table, len(tree.Domains)),
		alike:  map[string]*table{},
		fixed:  make([]bool, len(tree.Domains)),
	}
	for _, node := range req.Fixed {
		for d := tree.Leaf(node); d >= 0; d = tree.Domains[d].Parent {
			s.fixed[d] = true
		}
	}
	s.primary = req.Total().Primary()
	s.layoutCost()
	s.layoutLeft()
	return s
}

// layoutCost gives each level as many bits as it can ever need.
func (s *solver) layoutCost() {
	domains := make([]int, s.tree.Hosts()+1)
	for d := range s.tree.Domains {
		domains[s.tree.Domains[d].Level]++
	}
	s.field = make([]uint, len(domains))
	at := uint(0)
	for level := s.tree.Hosts(); level > 0; level-- {
		s.field[level] = at
		at += uint(bits.Len(uint(min(s.req.Size(), domains[level]))))
	}
}

func (s *solver) layoutLeft() {
	var total uint64
	for i := range s.nodes {
		total += uint64(max(0, s.nodes[i].Free.Get(s.primary)))
	}
	s.shift = uint(max(0, bits.Len64(total)-leftBits))
	s.amount = make([]uint64, s.states.n)
	for state := range s.amount {
		var sum int64
		for c, v := range s.states.vector(state) {
			sum += int64(v) * s.req.Classes[c].Requests.Get(s.primary)
		}
		s.amount[state] = uint64(sum) >> s.shift
	}
}

// table returns the domain's table.
func (s *solver) table(d int) *table {
	if s.tables[d] != nil {
		return s.tables[d]
	}
	domain := &s.tree.Domains[d]
	for _, child := range domain.Children {
		s.table(child)
	}
	key := s.keyOf(d)
	t, known := s.alike[string(key)]
	if !known {
		name := string(key)
		if domain.Node >= 0 {
			t = s.leaf(domain.Node)
		} else {
			t = s.empty()
			for _, child := range domain.Children {
				t = s.merge(t, s.tables[child])
			}
		}
		s.close(d, t)
		t.id = len(s.alike)
		s.alike[name] = t
	}
	s.tables[d] = t
	return t
}

// keyOf is equal for domains whose tables are equal: the level, whether a fixed
// member is there, and the children's tables or the node's free amounts. The
// result is overwritten by the next call.
func (s *solver) keyOf(d int) []byte {
	domain := &s.tree.Domains[d]
	key := binary.AppendUvarint(s.key[:0], uint64(domain.Level))
	key = appendBool(key, s.fixed[d])
	for _, child := range domain.Children {
		key = binary.AppendUvarint(key, uint64(s.tables[child].id))
	}
	if node := domain.Node; node >= 0 {
		key = appendBool(key, s.allowed == nil || s.allowed(node))
		for _, class := range s.req.Classes {
			key = appendBool(key, class.Eligible == nil || class.Eligible(node))
		}
		for _, amount := range s.nodes[node].Free {
			key = binary.AppendVarint(key, amount)
		}
	}
	s.key = key
	return key
}

func appendBool(key []byte, b bool) []byte {
	if b {
		return append(key, 1)
	}
	return append(key, 0)
}

// empty is the table of a domain in which nothing can be placed.
func (s *solver) empty() *table {
	return &table{reach: []int32{0}, cost: make([]uint64, s.states.n), left: make([]uint64, s.states.n)}
}

// leaf is the table of one node before it is closed.
func (s *solver) leaf(node int) *table {
	t := s.empty()
	t.free = uint64(max(0, s.nodes[node].Free.Get(s.primary))) >> s.shift
	if s.allowed == nil || s.allowed(node) {
		t.reach = s.states.onNode(s.req.Classes, node, s.nodes[node].Free)
	}
	return t
}

// merge combines what is known of some children with one more child: (min,+)
// over the states. The earlier way wins a tie, so order decides nothing but ties.
func (s *solver) merge(a, b *table) *table {
	n := s.states.n
	out := &table{cost: make([]uint64, n), left: make([]uint64, n), from: a.from, free: a.free + b.free}
	from := make([]int32, n)
	known := make([]bool, n)
	for _, sa := range a.reach {
		for _, sb := range b.reach {
			if !s.states.canAdd(int(sa), int(sb)) {
				continue
			}
			sum := sa + sb
			cost, left := a.cost[sa]+b.cost[sb], a.left[sa]+b.left[sb]
			if !known[sum] || cost < out.cost[sum] || cost == out.cost[sum] && left < out.left[sum] {
				known[sum] = true
				out.cost[sum], out.left[sum], from[sum] = cost, left, sb
			}
		}
	}
	for state, ok := range known {
		if ok {
			out.reach = append(out.reach, int32(state))
		}
	}
	out.from = append(out.from, from)
	return out
}

// close adds what using the domain itself costs to every state but the empty one.
func (s *solver) close(d int, t *table) {
	level := s.tree.Domains[d].Level
	for _, state := range t.reach[1:] {
		if level > 0 && !s.fixed[d] {
			t.cost[state] += 1 << s.field[level]
		}
		behind := t.free - min(t.free, s.amount[state])
		switch level {
		case s.tree.Hosts():
			t.left[state] += behind << leftHosts
		case s.tree.Hosts() - 1:
			t.left[state] += behind << leftRacks
		}
	}
}

// shares walks the chosen way back from a domain down to its nodes.
func (s *solver) shares(d, state int, visit func(node, state int)) {
	if state == 0 {
		return
	}
	if node := s.tree.Domains[d].Node; node >= 0 {
		visit(node, state)
		return
	}
	t := s.table(d)
	children := s.tree.Domains[d].Children
	for i := len(children) - 1; i >= 0; i-- {
		part := int(t.from[i][state])
		s.shares(children[i], part, visit)
		state -= part
	}
}
