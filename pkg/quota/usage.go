package quota

import (
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
)

// Holder is a gang, or a pod without one, that holds room.
type Holder struct {
	// ID tells it from others.
	ID    string
	Queue string
	// Amounts of all its members that are bound or on their way.
	Amounts cluster.Resources
	// Promised are those of members that are not bound yet. It may come to nothing, so nobody
	// goes for what a queue holds with them.
	Promised cluster.Resources
	// Floor is what it would ask for to start again.
	Floor    cluster.Resources
	Priority int32
	// Revocable holders have agreed to go for whoever has a reservation.
	Revocable bool
	Since     time.Time
}

// Usage is what queues hold, with all that is in the queues below them.
type Usage struct {
	tree *Tree
	used []cluster.Resources // by place in the tree; the first is the sum of all
	// nobody is what gangs without a queue hold.
	nobody  cluster.Resources
	total   cluster.Resources // of the cluster; what shares are measured by
	holders []Holder
	order   []int // in which holders go; nil while nobody has asked
}

// Usage sums up what is held. total is what the cluster has. The holders stay as they are.
func (t *Tree) Usage(holders []Holder, total cluster.Resources) *Usage {
	u := &Usage{tree: t, used: make([]cluster.Resources, len(t.nodes)), total: total, holders: holders}
	for _, h := range holders {
		amounts := positive(h.Amounts)
		u.used[0] = u.used[0].Add(amounts)
		path := t.path(h.Queue)
		if len(path) == 0 {
			u.nobody = u.nobody.Add(amounts)
		}
		for _, i := range path {
			u.used[i] = u.used[i].Add(amounts)
		}
	}
	return u
}

// positive is what amounts count as: those below zero as nothing. It is read only.
func positive(amounts cluster.Resources) cluster.Resources {
	if !slices.ContainsFunc(amounts, func(amount int64) bool { return amount < 0 }) {
		return amounts
	}
	out := amounts.Clone()
	for r, amount := range out {
		out[r] = max(0, amount)
	}
	return out
}

// Used is what a queue holds, with the queues below it.
func (u *Usage) Used(queue string) cluster.Resources {
	if i, known := u.tree.at[queue]; known {
		return u.used[i].Clone()
	}
	return u.nobody.Clone()
}

// Refusal is why a gang is not admitted: the cap that it would exceed.
type Refusal struct {
	// Queue is the one whose cap it is: the gang's own, or one above it.
	Queue    string
	Resource int
	// Cap, Used so far, and Asked for beside it.
	Cap, Used, Asked int64
}

// Admit says whether a gang may have what it asks for: the requests of the members that
// its floor lacks. The refusal names the first cap in the way, from the gang's queue up.
func (u *Usage) Admit(queue string, asked cluster.Resources) (refusal Refusal, ok bool) {
	refusal, refused := u.refuses(u.tree.path(queue), asked, u.used)
	return refusal, !refused
}

// refuses finds the first cap, among those of some queues, that keeps out what is asked for
// where queues hold so much.
func (u *Usage) refuses(path []int, asked cluster.Resources, held []cluster.Resources) (refusal Refusal, refused bool) {
	for _, i := range path {
		q := &u.tree.nodes[i]
		for r, want := range asked {
			limit, capped := q.Cap[r]
			used := held[i].Get(r)
			if want > 0 && capped && (want > limit || used > limit-want) {
				return Refusal{Queue: q.Name, Resource: r, Cap: limit, Used: used, Asked: want}, true
			}
		}
	}
	return Refusal{}, false
}

// Exceeds reports whether a queue, or one above it, holds more than its cap of something that
// is among the amounts.
func (u *Usage) Exceeds(queue string, amounts cluster.Resources) bool {
	for _, i := range u.tree.path(queue) {
		for r, amount := range amounts {
			limit, capped := u.tree.nodes[i].Cap[r]
			if amount > 0 && capped && u.used[i].Get(r) > limit {
				return true
			}
		}
	}
	return false
}

// within reports whether a queue would stay within its guarantee with more of what is
// asked for.
func (u *Usage) within(i int, asked cluster.Resources) bool {
	for _, r := range u.tree.shared {
		want, guaranteed := asked.Get(r), u.tree.nodes[i].Guaranteed.Get(r)
		if want > 0 && (want > guaranteed || u.used[i].Get(r) > guaranteed-want) {
			return false
		}
	}
	return true
}

// Guaranteed reports whether a gang asks for no more than its queue, and every queue
// above it, is guaranteed. What asks only for resources of which nobody is guaranteed
// anything is not guaranteed anything.
func (u *Usage) Guaranteed(queue string, asked cluster.Resources) bool {
	path := u.tree.path(queue)
	return len(path) > 0 && u.asksShared(asked) && !slices.ContainsFunc(path, func(i int) bool { return !u.within(i, asked) })
}

func (u *Usage) asksShared(asked cluster.Resources) bool {
	return slices.ContainsFunc(u.tree.shared, func(r int) bool { return asked.Get(r) > 0 })
}
