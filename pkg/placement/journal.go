package placement

// journal lists the nodes that changed, so that whatever is remembered about
// them is brought up to date only when it is looked at again.
type journal struct {
	first int // the number of the first entry still listed
	nodes []int32
	limit int // entries listed at most
}

// now is the number of the next entry.
func (j *journal) now() int { return j.first + len(j.nodes) }

func (j *journal) add(node int) {
	if len(j.nodes) == j.limit {
		half := len(j.nodes) / 2
		j.first += half
		j.nodes = j.nodes[:copy(j.nodes, j.nodes[half:])]
	}
	j.nodes = append(j.nodes, int32(node))
}

// since lists the nodes that changed from entry number then on; not ok where
// the journal does not reach back so far. A node may be listed twice.
func (j *journal) since(then int) (nodes []int32, ok bool) {
	if then < j.first {
		return nil, false
	}
	return j.nodes[then-j.first:], true
}
