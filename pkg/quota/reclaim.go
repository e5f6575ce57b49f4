package quota

import (
	"cmp"
	"slices"
	"strings"

	"lockstep.dev/lockstep/pkg/cluster"
)

// Portion is how much of what a holder has may be taken from it.
type Portion int

// From nothing to everything.
const (
	Nothing Portion = iota
	Surplus         // what it has beyond its floor
	Whole
)

// Reclaimable says how much may be taken from each of the holders so that a gang gets what
// its queue is guaranteed: nothing where it asks for more than that.
//
// A queue above the gang, or its own, that stays within its guarantee with the gang may
// take back from its siblings what they hold beyond theirs. Of a sibling those go first
// that have the lowest priority and have started last, as long as it and every queue
// between it and the holder hold more than they are guaranteed of something that is
// asked for; so the last to go may leave its queue with less. But whose floor is within
// the guarantee loses its surplus alone: it would take the room back. Gangs without a
// queue are guaranteed nothing.
func (u *Usage) Reclaimable(queue string, asked cluster.Resources) []Portion {
	path := u.tree.path(queue)
	claims := map[int]bool{} // queues whose parts may be taken from: parents of those within
	for _, i := range path {
		if u.within(i, asked) {
			claims[u.tree.nodes[i].parent] = true
		}
	}
	promised := make([]cluster.Resources, len(u.holders))
	for k := range u.holders {
		promised[k] = positive(u.holders[k].Promised)
	}
	return u.lent(path, claims, asked, promised, nil)
}

// Preemptible says how much each of the holders may lose to a gang that is more important.
// That is everything, but where the gang borrows: then other queues keep what they are
// guaranteed, as they would take it back at once, for the holder or for one of those who
// wait. Of these only the queue and the floor count. Surplus may go of all of them together,
// so what queues hold is counted without it.
func (u *Usage) Preemptible(queue string, asked cluster.Resources, waiting []Holder) []Portion {
	path := u.tree.path(queue)
	claims := map[int]bool{0: true}
	for _, i := range path {
		claims[i] = true
	}
	yields := make([]bool, len(u.holders)) // whatever its queue is guaranteed
	gone := make([]cluster.Resources, len(u.holders))
	for k := range u.holders {
		h := &u.holders[k]
		gone[k] = positive(h.Promised).Clone()
		if yields[k] = !u.Borrows(queue, asked, h.Queue) || !u.holdsAny(asked, h.Amounts); !yields[k] {
			gone[k] = gone[k].Add(positive(positive(h.Amounts).Clone().Sub(gone[k]).Sub(positive(h.Floor))))
		}
	}
	waiting = slices.Clip(waiting)
	parts := u.lent(path, claims, asked, gone, &waiting)
	for k := range u.holders {
		switch {
		case yields[k]:
			parts[k] = Whole
		case parts[k] == Nothing:
			parts[k] = Surplus
		}
	}
	return parts
}

// TakesBack reports whether a gang could take back from gangs of another queue what it asks
// for, as far as they hold more than they are guaranteed.
func (u *Usage) TakesBack(queue string, asked cluster.Resources, from string) bool {
	own, _ := u.tree.apart(queue, from)
	return len(own) > 0 && u.asksShared(asked) && u.within(own[len(own)-1], asked)
}

// Borrows reports whether a gang would borrow what it asks for, in the eyes of another queue:
// what counts is the widest of its queues that the other is not in, as the other sees no
// further. A part of that which is within its guarantee takes room back inside.
func (u *Usage) Borrows(queue string, asked cluster.Resources, of string) bool {
	own, others := u.tree.apart(queue, of)
	return u.asksShared(asked) && len(others) > 0 && (len(own) > 0 || len(u.tree.path(queue)) == 0) &&
		(len(own) == 0 || !u.within(own[len(own)-1], asked))
}

// lent goes through the holders in the order in which they go, the least important and the
// youngest first, until their queues hold no more than they are guaranteed. What is gone
// already of each is given; where the gang borrows, also those who wait and could take the
// room back from it, to whom those who go are added.
func (u *Usage) lent(path []int, claims map[int]bool, asked cluster.Resources, already []cluster.Resources, waiting *[]Holder) []Portion {
	parts := make([]Portion, len(u.holders))
	if len(claims) == 0 {
		return parts
	}
	left := make([]cluster.Resources, len(u.used))
	for i := range left {
		left[i] = u.used[i].Clone()
	}
	for k := range u.holders {
		for _, i := range u.tree.path(u.holders[k].Queue) {
			left[i] = left[i].Sub(already[k])
		}
	}
	for _, k := range u.Leaving() {
		h := &u.holders[k]
		between, ok := u.lenders(path, claims, h.Queue)
		if !ok || !u.holdsAny(asked, h.Amounts) || slices.ContainsFunc(between, func(i int) bool { return !u.over(i, left[i], asked) }) {
			continue
		}
		gone := positive(h.Amounts).Clone().Sub(already[k])
		back := func(w Holder) bool { return u.returns(w, h.Queue, gone, left, path) }
		if parts[k] = Whole; back(*h) || waiting != nil && slices.ContainsFunc(*waiting, back) {
			parts[k], gone = Surplus, positive(gone.Sub(positive(h.Floor)))
		} else if waiting != nil {
			*waiting = append(*waiting, *h)
		}
		for _, i := range u.tree.path(h.Queue) {
			left[i] = left[i].Sub(gone)
		}
	}
	return parts
}

// returns reports whether somebody could take room back for his floor once amounts of a
// queue have gone for a gang: who had them, or one who waits in the same part of the tree.
func (u *Usage) returns(w Holder, from string, gone cluster.Resources, left []cluster.Resources, path []int) bool {
	own := u.tree.path(from)
	top := -1
	for _, i := range u.tree.path(w.Queue) {
		if slices.Contains(path, i) {
			break
		}
		top = i
	}
	return top > 0 && slices.Contains(own, top) && u.asksShared(w.Floor) && !slices.ContainsFunc(u.tree.shared, func(r int) bool {
		want := w.Floor.Get(r)
		return want > 0 && left[top].Get(r)-gone.Get(r) > u.tree.nodes[top].Guaranteed.Get(r)-want
	})
}

// Leaving is the order in which holders go, by their places rather than others: those of the lowest
// priority first, of those the one that started last, of those who started together the
// one that holds the least.
func (u *Usage) Leaving() []int {
	if u.order != nil {
		return u.order
	}
	u.order = make([]int, len(u.holders))
	for i := range u.order {
		u.order[i] = i
	}
	slices.SortFunc(u.order, func(i, j int) int {
		a, b := &u.holders[i], &u.holders[j]
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), b.Since.Compare(a.Since), u.compare(a.Amounts, b.Amounts), strings.Compare(a.ID, b.ID))
	})
	return u.order
}

// compare orders amounts of the first resource that queues share and in which they differ.
func (u *Usage) compare(a, b cluster.Resources) int {
	for _, r := range u.tree.shared {
		if n := cmp.Compare(a.Get(r), b.Get(r)); n != 0 {
			return n
		}
	}
	return 0
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
