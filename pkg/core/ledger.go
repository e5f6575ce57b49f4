package core

import "lockstep.dev/lockstep/pkg/cluster"

// ledger is what is held for planned members, by node. A node without holds has
// no entry.
type ledger map[string]cluster.Resources

func (l ledger) add(node string, r cluster.Resources) { l[node] = l[node].Add(r) }

func (l ledger) sub(node string, r cluster.Resources) {
	left := l[node].Sub(r)
	for _, amount := range left {
		if amount != 0 {
			l[node] = left
			return
		}
	}
	delete(l, node)
}

// apply returns the nodes with what is held taken off their free amounts. The
// given slice is not changed.
func (l ledger) apply(nodes []cluster.Node) []cluster.Node {
	if len(l) == 0 {
		return nodes
	}
	out := append([]cluster.Node(nil), nodes...)
	for name, amount := range l {
		if i, ok := cluster.Find(out, name); ok {
			out[i].Free = out[i].Free.Clone().Sub(amount)
		}
	}
	return out
}
