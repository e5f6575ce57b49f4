package quota

import (
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
)

// Overdrawn lists the holders, by their places, of which any may be evicted
// so that a gang may borrow beside them: those of other queues that have borrowed so much
// that even without them their queue has no less for its weight than the gang's would
// have with it, and with them more than that has now. What is compared are the queues
// below the one in which both are, and what they have borrowed now; what was of late does
// not count here. What is asked for is the most that it may count as wherever it goes.
//
// So nobody gets back in turn what was taken from it like this: after the move its queue
// has no less than the other, which has no more than that had before. Of a queue those go
// first that have the lowest priority and have started last, and none of a priority above
// the gang's. A gang that is revocable takes nothing from those of its priority that are
// not, and may have it go in turn. What queues are guaranteed is left to them, also of one
// resource where they have borrowed of another: who would be within the guarantee anew
// would take the room back from a gang that borrows it. A gang without a queue takes
// nothing.
func (u *Usage) Overdrawn(queue string, asked cluster.Resources, priority int32, revocable bool) []int {
	left, nobody := u.settled()
	var list []int
	for _, k := range u.leaving() {
		h := &u.holders[k]
		mine, own := u.tree.apart(queue, h.Queue)
		if h.Priority > priority || h.Priority == priority && revocable && !h.Revocable || len(mine) == 0 || len(own) == 0 && len(u.tree.path(h.Queue)) > 0 {
			continue // it comes before the gang, or one of the two is in the other's queue
		}
		against, used := &u.tree.nodes[mine[len(mine)-1]], u.used[mine[len(mine)-1]]
		with := used.Clone().Add(asked)
		has := u.borrowed(used, against.Guaranteed) / against.Weight
		would := u.borrowed(with, against.Guaranteed) / against.Weight
		amounts := positive(h.Amounts).Clone().Sub(positive(h.Promised))
		if len(own) == 0 { // it is nobody's
			if rest := nobody.Clone().Sub(amounts); u.borrowed(rest, nil) >= would && u.borrowed(nobody, nil) > has {
				list, nobody = append(list, k), rest
			}
			continue
		}
		top, holds := &u.tree.nodes[own[len(own)-1]], left[own[len(own)-1]]
		keeps := u.borrowed(holds.Clone().Sub(amounts), top.Guaranteed) / top.Weight
		keepsAll := func(i int) bool { return u.borrowed(left[i], u.tree.nodes[i].Guaranteed) == 0 }
		if keeps < would || u.borrowed(holds, top.Guaranteed)/top.Weight <= has || slices.ContainsFunc(own, keepsAll) ||
			u.over(mine[len(mine)-1], with, h.Floor) && u.returns(*h, h.Queue, amounts, left, u.tree.path(queue)) {
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

// settled is what each queue holds, and what nobody's gangs do, without what is planned and
// not bound yet.
func (u *Usage) settled() (left []cluster.Resources, nobody cluster.Resources) {
	left, nobody = slices.Clone(u.used), u.nobody.Clone()
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
	return left, nobody
}
