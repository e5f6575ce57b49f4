package topology

import (
	"sort"
	"strings"

	"lockstep.dev/lockstep/pkg/cluster"
)

// Level is one level of the tree, named for people and found on nodes by a label.
type Level struct {
	Name string // such as "rack"
	Key  string // such as "topology.lockstep.dev/rack"
	// Cut, if not empty, is where the label's value ends: what comes after its first
	// occurrence tells domains of a narrower level apart.
	Cut string
}

// valueOn returns the value that names a node's domain; "" where there is none.
func (l Level) valueOn(node *cluster.Node) string {
	value := node.Labels[l.Key]
	if l.Cut != "" {
		value, _, _ = strings.Cut(value, l.Cut)
	}
	return value
}

// The names of the two levels that every tree has: the root and the leaves.
const (
	ClusterLevel = "cluster"
	HostLevel    = "host"
)

const hostnameKey = "kubernetes.io/hostname"

// Domain is one place in the tree. Domains are numbered; the root is 0 and a
// parent's number is lower than its children's.
type Domain struct {
	// Level is 0 for the cluster, 1… for the configured levels, and
	// len(levels)+1 for hosts.
	Level int
	// Path joins the values from the widest configured level down with "/":
	// "zone-0/block-0/rack-3". The cluster's path is "", a host's ends in its name.
	Path string
	// Known is false for a domain that stands in for a missing label.
	Known    bool
	Parent   int // -1 for the root
	Children []int
	// Node is the node's place in the slice the tree was built from; -1 above the leaves.
	Node int
}

// Tree is immutable once built.
type Tree struct {
	levels  []Level
	Domains []Domain
	leaves  []int   // by node
	byLevel [][]int // domains by level, in the order of their paths
}

// Build makes the tree of the given nodes. The same nodes in the same order
// give the same tree; children stand in the order of their paths.
func Build(levels []Level, nodes []cluster.Node) *Tree {
	t := &Tree{levels: append([]Level(nil), levels...), leaves: make([]int, len(nodes))}
	t.Domains = append(t.Domains, Domain{Parent: -1, Node: -1, Known: true})
	byPath := map[string]int{}
	for i := range nodes {
		parent := 0
		for l, level := range levels {
			value := level.valueOn(&nodes[i])
			known := value != ""
			if !known {
				value = "?" + nodes[i].Name
			}
			parent = t.child(byPath, parent, l+1, value, known)
		}
		leaf := t.child(byPath, parent, len(levels)+1, nodes[i].Name, true)
		t.Domains[leaf].Node = i
		t.leaves[i] = leaf
	}
	for d := range t.Domains {
		children := t.Domains[d].Children
		sort.Slice(children, func(a, b int) bool {
			return t.Domains[children[a]].Path < t.Domains[children[b]].Path
		})
	}
	t.byLevel = make([][]int, len(levels)+2)
	t.byLevel[0] = []int{0}
	for l := range len(levels) + 1 {
		for _, d := range t.byLevel[l] {
			t.byLevel[l+1] = append(t.byLevel[l+1], t.Domains[d].Children...)
		}
	}
	return t
}

// child returns the named child of parent, made on first sight.
func (t *Tree) child(byPath map[string]int, parent, level int, value string, known bool) int {
	path := value
	if parent != 0 {
		path = t.Domains[parent].Path + "/" + value
	}
	key := path
	if level == len(t.levels)+1 {
		key = "host:" + path // a node may bear its rack's name
	}
	if d, ok := byPath[key]; ok {
		return d
	}
	d := len(t.Domains)
	t.Domains = append(t.Domains, Domain{Level: level, Path: path, Known: known, Parent: parent, Node: -1})
	t.Domains[parent].Children = append(t.Domains[parent].Children, d)
	byPath[key] = d
	return d
}

// Hosts is the number of the lowest level, at which each node is a domain.
func (t *Tree) Hosts() int { return len(t.levels) + 1 }

// LevelName returns the name of a level by its number.
func (t *Tree) LevelName(level int) string {
	switch level {
	case 0:
		return ClusterLevel
	case len(t.levels) + 1:
		return HostLevel
	}
	return t.levels[level-1].Name
}

// LevelOf finds a level by its name or by its node label key.
func (t *Tree) LevelOf(nameOrKey string) (int, bool) {
	switch nameOrKey {
	case ClusterLevel:
		return 0, true
	case HostLevel, hostnameKey:
		return t.Hosts(), true
	}
	for i, level := range t.levels {
		if nameOrKey == level.Name || nameOrKey == level.Key {
			return i + 1, true
		}
	}
	return 0, false
}

// LevelNames lists every level's name, widest first, for messages.
func (t *Tree) LevelNames() string {
	names := make([]string, 0, len(t.levels)+2)
	for l := 0; l <= t.Hosts(); l++ {
		names = append(names, t.LevelName(l))
	}
	return strings.Join(names, ", ")
}

// Levels returns the configured levels, widest first. The slice belongs to the tree.
func (t *Tree) Levels() []Level { return t.levels }

// AtLevel lists the domains of a level depth first, siblings in the order of
// their paths. The slice belongs to the tree.
func (t *Tree) AtLevel(level int) []int { return t.byLevel[level] }

// Labelled reports whether any domain at the level is known by a label.
func (t *Tree) Labelled(level int) bool {
	for _, d := range t.byLevel[level] {
		if t.Domains[d].Known {
			return true
		}
	}
	return false
}

// Leaf returns the domain of a node.
func (t *Tree) Leaf(node int) int { return t.leaves[node] }

// Ancestor returns the domain at the given level in which domain d stands; d
// itself when it is at that level.
func (t *Tree) Ancestor(d, level int) int {
	for t.Domains[d].Level > level {
		d = t.Domains[d].Parent
	}
	return d
}

// Common returns the lowest domain that holds both a and b.
func (t *Tree) Common(a, b int) int {
	for a != b {
		if a > b { // a parent's number is lower
			a = t.Domains[a].Parent
		} else {
			b = t.Domains[b].Parent
		}
	}
	return a
}
