package placement

import "math/bits"

// leftWidth is the number of bits for each amount in the result of LeftAround.
const leftWidth = 18

// LeftAround is how much of a resource would be left on a node, in its rack and in
// its block (the two levels above the hosts, whatever they are) if so much more were
// taken there, as one number that orders places by these amounts, the node's first.
// Best fit for single pods is the least: whole hosts and whole racks stay free.
func (x *Index) LeftAround(node, resource int, asks int64) int64 {
	shift := max(0, bits.Len64(uint64(max(x.offered.Get(resource), x.free.of(resource, 0))))-leftWidth)
	key, d := int64(0), x.tree.Leaf(node)
	for range 3 {
		key <<= leftWidth
		if d > 0 {
			key |= min(max(0, x.free.of(resource, d)-asks)>>shift, 1<<leftWidth-1)
			d = x.tree.Domains[d].Parent
		}
	}
	return key
}

// Closeness is the number of the lowest level of which one domain holds both nodes.
func (x *Index) Closeness(a, b int) int {
	return x.tree.Domains[x.tree.Common(x.tree.Leaf(a), x.tree.Leaf(b))].Level
}
