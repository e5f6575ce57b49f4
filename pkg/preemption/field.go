package preemption

// field is the nodes of one domain that can be of use to the gang.
type field struct {
	*board
	nodes []int
	at    map[int]int // places in nodes
	may   [][]bool    // by place, then class
}

func (b *board) field(domain int) *field {
	if known := b.fields[domain]; known != nil {
		return known
	}
	f := &field{board: b, at: map[int]int{}}
	b.fields[domain] = f
	for _, node := range b.index.NodesIn(domain) {
		may, any := make([]bool, len(b.req.Classes)), false
		for c := range may {
			may[c] = b.eligible(c, node)
			any = any || may[c]
		}
		if any {
			f.at[node] = len(f.nodes)
			f.nodes, f.may = append(f.nodes, node), append(f.may, may)
		}
	}
	return f
}
