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

// takeOff takes what is held off the free amounts in the view's index, until the
// returned function puts it back.
func (l ledger) takeOff(view View) (putBack func()) {
	var places []int
	for name, amount := range l {
		i, ok := view.find(name)
		if !ok {
			continue
		}
		node := view.Nodes[i]
		node.Free = node.Free.Clone().Sub(amount)
		view.Index.Update(i, node)
		places = append(places, i)
	}
	return func() {
		for _, i := range places {
			view.Index.Update(i, view.Nodes[i])
		}
	}
}
