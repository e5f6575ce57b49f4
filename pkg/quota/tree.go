package quota

import (
	"fmt"
	"slices"
	"strings"

	"lockstep.dev/lockstep/pkg/cluster"
)

// Queue is a share of the cluster, as somebody has written it down.
type Queue struct {
	// Name is unique.
	Name string
	// Parent is the queue that it is a part of; empty for the whole cluster.
	Parent string
	// Namespaces whose gangs may be in the queue, and are unless they name another.
	Namespaces []string
	// Guaranteed is what the queue gets back from borrowers when it has need of it.
	Guaranteed cluster.Resources
	// Cap is the most that the queue may hold, by resource; one that is not there has no cap.
	Cap map[int]int64
	// Weight among its siblings when they borrow; 0 counts as 1.
	Weight int64
}

// Tree is all queues. It is immutable.
type Tree struct {
	nodes []node
	at    map[string]int
	of    map[string][]int // queues by namespace, by name
	// shared are the resources of which some queue is guaranteed something. Guarantees
	// of others would mean nothing: what nobody is guaranteed is nobody's to lend.
	shared []int
}

// node is a queue in its place. The first is the cluster; a parent's place is lower
// than its children's.
type node struct {
	Queue
	parent int   // -1 for the cluster
	path   []int // itself and those above it, without the cluster
}

// Nobody is the queue of gangs that belong to none.
const Nobody = ""

// Fault is what is wrong with a queue.
type Fault struct {
	Queue string
	// Field of the queue: parent, guaranteed, cap, weight, namespaces.
	Field string
	// Resource is the place of the one at fault; -1 if it is none.
	Resource int
	Text     string
}

// New makes a tree. Queues with faults stand in it as far as they make sense: one whose
// parent is not there, or that is its own forebear, stands under the cluster; negative
// amounts count as none; a guarantee above the cap ends there. Where siblings are
// guaranteed more than their parent is, they cannot get more back together than it can.
func New(queues []Queue) (*Tree, []Fault) {
	t := &Tree{nodes: []node{{parent: -1}}, at: map[string]int{}, of: map[string][]int{}}
	b := builder{Tree: t, given: map[string]Queue{}}
	sorted := slices.Clone(queues)
	slices.SortStableFunc(sorted, func(a, b Queue) int { return strings.Compare(a.Name, b.Name) })
	for _, q := range sorted {
		if _, twice := b.given[q.Name]; twice || q.Name == Nobody {
			b.fault(q.Name, "name", -1, "a queue needs a name of its own")
			continue
		}
		b.given[q.Name] = q
	}
	for _, q := range sorted {
		b.add(q.Name, nil)
	}
	for i := 1; i < len(t.nodes); i++ {
		for _, namespace := range t.nodes[i].Namespaces {
			t.of[namespace] = append(t.of[namespace], i)
		}
	}
	for namespace, list := range t.of {
		slices.SortFunc(list, func(i, j int) int { return strings.Compare(t.nodes[i].Name, t.nodes[j].Name) })
		for _, i := range list[1:] {
			b.fault(t.nodes[i].Name, "namespaces", -1, fmt.Sprintf("%s is in queue %s already; gangs are in this one only if they name it",
				namespace, t.nodes[list[0]].Name))
		}
	}
	b.checkGuarantees()
	t.shared = t.guaranteed()
	slices.SortStableFunc(b.faults, func(x, y Fault) int { return strings.Compare(x.Queue+"\x00"+x.Text, y.Queue+"\x00"+y.Text) })
	return t, b.faults
}

// builder puts queues into a tree.
type builder struct {
	*Tree
	given  map[string]Queue
	faults []Fault
}

func (b *builder) fault(queue, field string, resource int, text string) {
	b.faults = append(b.faults, Fault{queue, field, resource, text})
}

// add puts a queue into the tree, its parent first; below are those that wait for it.
func (b *builder) add(name string, below []string) int {
	if i, there := b.at[name]; there {
		return i
	}
	q := b.given[name]
	parent := 0
	_, known := b.given[q.Parent]
	switch {
	case q.Parent == "":
	case slices.Contains(below, q.Parent) || q.Parent == name:
		b.fault(name, "parent", -1, fmt.Sprintf("%s is a part of %s itself; it is taken for a part of the cluster", q.Parent, name))
	case !known:
		b.fault(name, "parent", -1, fmt.Sprintf("there is no queue %s; it is taken for a part of the cluster", q.Parent))
	default:
		parent = b.add(q.Parent, append(below, name))
	}
	i := len(b.nodes)
	b.at[name] = i
	b.nodes = append(b.nodes, node{b.sound(q), parent, append([]int{i}, b.nodes[parent].path...)})
	return i
}

// sound is a queue with amounts that make sense.
func (b *builder) sound(q Queue) Queue {
	given, limits := q.Guaranteed, q.Cap
	q.Guaranteed, q.Cap = given.Clone(), map[int]int64{}
	for r, limit := range limits {
		if q.Cap[r] = max(0, limit); limit < 0 {
			b.fault(q.Name, "cap", r, "must not be negative")
		}
	}
	for r, amount := range given {
		if amount < 0 {
			b.fault(q.Name, "guaranteed", r, "must not be negative")
			q.Guaranteed[r] = 0
		}
		if limit, capped := q.Cap[r]; capped && amount > limit {
			b.fault(q.Name, "guaranteed", r, "must not be above the cap")
			q.Guaranteed[r] = limit
		}
	}
	if q.Weight < 0 {
		b.fault(q.Name, "weight", -1, "must not be negative")
	}
	q.Weight = min(max(1, q.Weight), maxWeight)
	return q
}

// maxWeight keeps shares apart from the limits of arithmetic.
const maxWeight = 1 << 16

// checkGuarantees finds parents whose children are guaranteed more than they.
func (b *builder) checkGuarantees() {
	sums, parts := make([]cluster.Resources, len(b.nodes)), make([][]string, len(b.nodes))
	for i := 1; i < len(b.nodes); i++ {
		parent := b.nodes[i].parent
		sums[parent] = sums[parent].Add(b.nodes[i].Guaranteed)
		parts[parent] = append(parts[parent], b.nodes[i].Name)
	}
	for i := 1; i < len(b.nodes); i++ {
		for r, sum := range sums[i] {
			if have := b.nodes[i].Guaranteed.Get(r); sum > have {
				b.fault(b.nodes[i].Name, "guaranteed", r, fmt.Sprintf("its parts (%s) together are guaranteed more than it is itself; "+
					"they get back no more than that", strings.Join(parts[i], ", ")))
			}
		}
	}
}

// guaranteed lists the resources of which some queue is guaranteed something.
func (t *Tree) guaranteed() []int {
	var all cluster.Resources
	for _, n := range t.nodes {
		all = all.Add(n.Guaranteed)
	}
	var list []int
	for r, amount := range all {
		if amount > 0 {
			list = append(list, r)
		}
	}
	return list
}

// Of is the queue of a gang in a namespace that names the given queue, or none (""). It
// is not ok where there is no such queue, or the namespace is not bound to it.
func (t *Tree) Of(namespace, named string) (queue string, ok bool) {
	list := t.of[namespace]
	if named == "" {
		if len(list) == 0 {
			return Nobody, true
		}
		return t.nodes[list[0]].Name, true
	}
	i, there := t.at[named]
	return named, there && slices.Contains(list, i)
}

// Queues lists the queues' names, parents before their parts.
func (t *Tree) Queues() []string {
	names := make([]string, 0, len(t.nodes)-1)
	for _, n := range t.nodes[1:] {
		names = append(names, n.Name)
	}
	return names
}

// Queue is what a queue is guaranteed and capped at; not ok where there is none.
func (t *Tree) Queue(name string) (q Queue, ok bool) {
	i, ok := t.at[name]
	if !ok {
		return q, false
	}
	return t.nodes[i].Queue, true
}

// apart lists of two queues, and of those above them, what is not above the other, too.
func (t *Tree) apart(a, b string) (ofA, ofB []int) {
	ofA, ofB = t.path(a), t.path(b)
	for len(ofA) > 0 && len(ofB) > 0 && ofA[len(ofA)-1] == ofB[len(ofB)-1] {
		ofA, ofB = ofA[:len(ofA)-1], ofB[:len(ofB)-1]
	}
	return ofA, ofB
}

// path lists a queue and those above it, the cluster last and left out. It is read only.
func (t *Tree) path(queue string) []int { return t.nodes[t.at[queue]].path }
