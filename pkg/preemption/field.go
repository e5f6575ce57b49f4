package preemption

import "slices"

// field is the nodes of one domain that can be of use to the gang.
type field struct {
	*board
	nodes []int
	may   [][]bool // by place, then class
	dense []int32  // places in nodes, by node; nil where there are few nodes
}

// manyNodes is the number of nodes from which a field keeps their places by number.
const manyNodes = 32

// at is the place of a node; not ok where it is not in the field.
func (f *field) at(node int) (place int, ok bool) {
	if f.dense != nil {
		return int(f.dense[node]), f.dense[node] >= 0
	}
	return slices.BinarySearch(f.nodes, node)
}

func (b *board) field(domain int) *field {
	if known := b.fields[domain]; known != nil {
		return known
	}
	f := &field{board: b}
	b.fields[domain] = f
	for _, node := range b.index.NodesIn(domain) {
		may, any := make([]bool, len(b.req.Classes)), false
		for c := range may {
			may[c] = b.eligible(c, node)
			any = any || may[c]
		}
		if any {
			f.nodes, f.may = append(f.nodes, node), append(f.may, may)
		}
	}
	if len(f.nodes) >= manyNodes {
		f.dense = slices.Repeat([]int32{-1}, b.index.Len())
		for i, node := range f.nodes {
			f.dense[node] = int32(i)
		}
	}
	return f
}
