package quota

import (
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
)

// Overdrawn lists the holders, by their places, of which any may be evicted
// so that a gang may borrow beside them: those of other queues that have borrowed so much
// that even without them their queue has no less for its weight than the gang's would
// have with it. What is compared are the queues below the one in which both are, and
// what they have borrowed now; what was of late does not count here.
//
// So nobody gets back in turn what was taken from it like this: after the move its queue
// has no less than the other. Of a queue those go first that have the lowest priority and
// have started last, and none of a priority above the gang's. What queues are guaranteed
// is left to them. A gang without a queue takes nothing.
func (u *Usage) Overdrawn(queue string, asked cluster.Resources, priority int32) []int {
	left, nobody := slices.Clone(u.used), u.nobody.Clone()
	for k := range u.holders {
		promised, path := positive(u.holders[k].Promised), u.tree.path(u.holders[k].Queue)
		if len(promised) == 0 {
			continue
		}
		for _, i := range path {
			left[i] = left[i].Clone().Sub(promised)
		}
		if len(path) == 0 {
			nobody = nobody.Sub(promised)
		}
	}
	var list []int
	for _, k := range u.leaving() {
		h := &u.holders[k]
		mine, own := u.tree.apart(queue, h.Queue)
		if h.Priority > priority || len(mine) == 0 || len(own) == 0 && len(u.tree.path(h.Queue)) > 0 {
			continue // it is more important, or one of the two is in the other's queue
		}
		against := mine[len(mine)-1]
		would := u.borrowed(u.used[against].Clone().Add(asked), u.tree.nodes[against].Guaranteed) / u.tree.nodes[against].Weight
		amounts := positive(h.Amounts).Sub(positive(h.Promised))
		if len(own) == 0 { // it is nobody's
			if rest := nobody.Clone().Sub(amounts); u.borrowed(rest, nil) >= would {
				list, nobody = append(list, k), rest
			}
			continue
		}
		top := own[len(own)-1]
		keeps := u.borrowed(left[top].Clone().Sub(amounts), u.tree.nodes[top].Guaranteed) / u.tree.nodes[top].Weight
		keepsAll := func(i int) bool { return u.borrowed(left[i], u.tree.nodes[i].Guaranteed) == 0 }
		if keeps < would || slices.ContainsFunc(own, keepsAll) {
			continue
		}
		list = append(list, k)
		for _, i := range u.tree.path(h.Queue) {
			left[i] = left[i].Clone().Sub(amounts)
		}
	}
	slices.Sort(list)
	return list
}
