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
// would take the room back. How much of each goes for the gang's
// importance, if that is known, counts as gone: with it and one of these a queue might have
// less in the end. A gang without a queue takes nothing.
func (u *Usage) Overdrawn(queue string, asked cluster.Resources, priority int32, revocable bool, goes []Portion) []int {
	left, nobody := u.settled()
	var list []int
	for _, k := range u.Leaving() {
		h := &u.holders[k]
		part := Nothing
		if goes != nil {
			part = goes[k]
		}
		amounts := positive(h.Amounts).Clone().Sub(positive(h.Promised))
		before := h.Priority > priority || h.Priority == priority && revocable && !h.Revocable
		if !before && u.owes(h, amounts, queue, asked, left, nobody) {
			list, part = append(list, k), Whole
		}
		switch path := u.tree.path(h.Queue); {
		case part == Nothing:
			continue
		case part == Surplus:
			amounts = positive(amounts.Sub(positive(h.Floor)))
			fallthrough
		default:
			for _, i := range path {
				left[i] = left[i].Clone().Sub(amounts)
			}
			if len(path) == 0 {
				nobody = nobody.Clone().Sub(amounts)
			}
		}
	}
	slices.Sort(list)
	return list
}

// owes reports whether a holder's queue has so much more than the gang's that the holder may
// go for it, where queues, and those without one, hold what is left.
func (u *Usage) owes(h *Holder, amounts cluster.Resources, queue string, asked cluster.Resources, left []cluster.Resources, nobody cluster.Resources) bool {
	mine, own := u.tree.apart(queue, h.Queue)
	if len(mine) == 0 || len(own) == 0 && len(u.tree.path(h.Queue)) > 0 {
		return false // one of the two is in the other's queue
	}
	against, used := &u.tree.nodes[mine[len(mine)-1]], u.used[mine[len(mine)-1]]
	has := u.borrowed(used, against.Guaranteed) / against.Weight
	would := u.borrowed(used.Clone().Add(asked), against.Guaranteed) / against.Weight
	if len(own) == 0 { // it is nobody's
		return u.borrowed(nobody.Clone().Sub(amounts), nil) >= would && u.borrowed(nobody, nil) > has
	}
	top, holds := &u.tree.nodes[own[len(own)-1]], left[own[len(own)-1]]
	keeps := u.borrowed(holds.Clone().Sub(amounts), top.Guaranteed) / top.Weight
	keepsAll := func(i int) bool { return u.borrowed(left[i], u.tree.nodes[i].Guaranteed) == 0 }
	return keeps >= would && u.borrowed(holds, top.Guaranteed)/top.Weight > has && !slices.ContainsFunc(own, keepsAll) &&
		!u.returns(*h, h.Queue, amounts, left, u.tree.path(queue))
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
