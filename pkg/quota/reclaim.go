package quota

import (
	"cmp"
	"slices"
	"strings"

	"lockstep.dev/lockstep/pkg/cluster"
)

// Reclaimable lists the holders, by their places in the list, of which any may be
// evicted so that a gang gets what its queue is guaranteed. There are none where it
// asks for more than that.
//
// A queue above the gang, or its own, that stays within its guarantee with the gang may
// take back from its siblings what they hold beyond theirs. Of a sibling those go first
// that have the lowest priority and have started last, as long as it and every queue
// between it and the holder hold more than they are guaranteed of something that is
// asked for; so the last to go may leave its queue with less. Gangs without a queue are
// guaranteed nothing.
func (u *Usage) Reclaimable(queue string, asked cluster.Resources, holders []Holder) []int {
	path := u.tree.path(queue)
	claims := map[int]bool{} // queues whose parts may be taken from: parents of those within
	for _, i := range path {
		if u.within(i, asked) {
			claims[u.tree.nodes[i].parent] = true
		}
	}
	if len(claims) == 0 {
		return nil
	}
	order := make([]int, len(holders))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(holders[a].Priority, holders[b].Priority),
			holders[b].Since.Compare(holders[a].Since), strings.Compare(holders[a].ID, holders[b].ID))
	})
	left := make([]cluster.Resources, len(u.used))
	for i := range left {
		left[i] = u.used[i].Clone()
	}
	var list []int
	for _, k := range order {
		between, ok := u.lenders(path, claims, holders[k].Queue)
		if !ok || !u.holdsAny(asked, holders[k].Amounts) || slices.ContainsFunc(between, func(i int) bool { return !u.over(i, left[i], asked) }) {
			continue
		}
		list = append(list, k)
		for _, i := range u.tree.path(holders[k].Queue) {
			left[i] = left[i].Sub(positive(holders[k].Amounts))
		}
	}
	slices.Sort(list)
	return list
}

// lenders lists the queues from a holder's up to the sibling of a queue on the claimant's
// path. It is not ok where the two have no such parent that may be taken from.
func (u *Usage) lenders(path []int, claims map[int]bool, queue string) (between []int, ok bool) {
	for _, i := range u.tree.path(queue) {
		if slices.Contains(path, i) {
			return between, claims[i] && len(between) > 0
		}
		between = append(between, i)
	}
	return between, claims[0] // they meet in the cluster
}

// over reports whether a queue holds more than it is guaranteed of something asked for.
func (u *Usage) over(i int, used, asked cluster.Resources) bool {
	for _, r := range u.tree.shared {
		if asked.Get(r) > 0 && used.Get(r) > u.tree.nodes[i].Guaranteed.Get(r) {
			return true
		}
	}
	return false
}

// holdsAny reports whether amounts have something of what is asked for.
func (u *Usage) holdsAny(asked, amounts cluster.Resources) bool {
	for _, r := range u.tree.shared {
		if asked.Get(r) > 0 && amounts.Get(r) > 0 {
			return true
		}
	}
	return false
}
