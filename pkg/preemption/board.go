package preemption

import (
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
)

// board is a search's request and the units that may go for it.
type board struct {
	index   *placement.Index
	req     placement.Request
	vectors vectors
	units   []unit
	onNode  [][]place // by node: the parts that stand there
	budgets []int
	fields  map[int]*field // by domain
	lists   byUnit
	limit   int // of work; see maxWork
	work    int // spent so far, in pairs of a vector and a way
}

// place is one part of a unit.
type place struct{ unit, part int }

func newBoard(x *placement.Index, req placement.Request, list []unit, budgets []int) *board {
	b := &board{
		index: x, req: req, units: list, onNode: make([][]place, x.Len()), budgets: budgets,
		vectors: newVectors(req), fields: map[int]*field{}, lists: newByUnit(len(list)), limit: maxWork,
	}
	for u := range list {
		for p := range list[u].parts {
			node := list[u].parts[p].node
			b.onNode[node] = append(b.onNode[node], place{u, p})
		}
	}
	return b
}

// eligible says whether a class may use a node, resources apart.
func (b *board) eligible(class, node int) bool {
	c := &b.req.Classes[class]
	return (c.Eligible == nil || c.Eligible(node)) && !slices.Contains(c.Excluded, node)
}

// violated is by how many pods a set of units exceeds the budgets.
func (b *board) violated(set []int) int64 {
	gone := map[int]int{}
	for _, u := range set {
		for _, use := range b.units[u].budgets {
			gone[use.budget] += use.pods
		}
	}
	sum := 0
	for budget, n := range gone {
		sum += max(0, n-max(0, b.budgets[budget]))
	}
	return int64(sum)
}

// price is what a set of units costs in truth.
func (b *board) price(set []int) cost {
	var sum cost
	for _, u := range set {
		sum = sum.plus(b.units[u].price)
	}
	sum[violations] = b.violated(set)
	return sum
}

// freed is what a set of units frees, by node.
func (b *board) freed(set []int) []placement.Freed {
	var list []placement.Freed
	for _, u := range set {
		for _, part := range b.units[u].parts {
			list = append(list, placement.Freed{Node: part.node, Amounts: part.freed})
		}
	}
	return list
}

// asked reports whether amounts have anything that some class asks for.
func (b *board) asked(amounts cluster.Resources) bool {
	for _, class := range b.req.Classes {
		for i, want := range class.Requests {
			if want > 0 && amounts.Get(i) > 0 {
				return true
			}
		}
	}
	return false
}
