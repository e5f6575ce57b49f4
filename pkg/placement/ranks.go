package placement

// Assign gives every member a node. Members come in rank order, each with the
// index of its class; the result holds the node of each. Consecutive ranks of a
// class share a node, then a rack, because the shares stand in that order.
func (p *Plan) Assign(classes []int) []int {
	type cursor struct{ share, taken int }
	at := map[int]*cursor{}
	out := make([]int, len(classes))
	for i, class := range classes {
		c := at[class]
		if c == nil {
			c = &cursor{}
			at[class] = c
		}
		for c.taken == p.Shares[c.share].Counts[class] {
			c.share, c.taken = c.share+1, 0
		}
		out[i] = p.Shares[c.share].Node
		c.taken++
	}
	return out
}
