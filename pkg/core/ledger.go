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

func (l ledger) clone() ledger {
	c := make(ledger, len(l))
	for node, amounts := range l {
		c[node] = amounts.Clone()
	}
	return c
}

// takeOff takes the amounts off what is free in the view's index, until the returned
// function puts them back.
func (l ledger) takeOff(view View) (putBack func()) {
	return l.apply(view, cluster.Resources.Sub)
}

// putOn adds the amounts to what is free in the view's index, until the returned
// function takes them back.
func (l ledger) putOn(view View) (takeBack func()) {
	return l.apply(view, cluster.Resources.Add)
}

func (l ledger) apply(view View, change func(free, amounts cluster.Resources) cluster.Resources) (undo func()) {
	before := map[int]cluster.Resources{}
	for name, amounts := range l {
		i, ok := view.find(name)
		if !ok {
			continue
		}
		node := view.Index.Node(i)
		before[i] = node.Free.Clone()
		node.Free = change(node.Free.Clone(), amounts)
		view.Index.Update(i, node)
	}
	return func() {
		for i, free := range before {
			node := view.Index.Node(i)
			node.Free = free
			view.Index.Update(i, node)
		}
	}
}
