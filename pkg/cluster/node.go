package cluster

// Node is what a plan needs to know about one machine.
type Node struct {
	// Name is unique in the cluster.
	Name string
	// Labels are the node's labels; the topology is read from them. Shared, never changed.
	Labels map[string]string
	// Allocatable is what the node offers to pods when it is empty.
	Allocatable Resources
	// Free is Allocatable less what is bound, assumed or held there. It may be
	// negative: another scheduler can over-commit a node, and a node can shrink.
	Free Resources
	// Discouraged marks a node that pods should avoid while there is room
	// elsewhere (a taint with effect PreferNoSchedule).
	Discouraged bool
}

// Find returns the place of the named node in nodes, which are sorted by name.
func Find(nodes []Node, name string) (int, bool) {
	lo, hi := 0, len(nodes)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if nodes[mid].Name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(nodes) && nodes[lo].Name == name
}
