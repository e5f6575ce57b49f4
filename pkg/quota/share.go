package quota

import (
	"cmp"
	"math/bits"
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
)

// one is a share of the whole cluster.
const one = 1 << 40

// dominant is the largest share of the cluster that amounts are of any resource. What
// the cluster does not have at all counts as the whole.
func dominant(amounts, total cluster.Resources) int64 {
	most := int64(0)
	for r, amount := range amounts {
		if amount > 0 {
			most = max(most, ratio(amount, total.Get(r)))
		}
	}
	return most
}

// Part is a of b, as History counts: in parts of 1<<40, at most all.
func Part(a, b int64) int64 { return ratio(max(0, a), b) }

// ratio is a of b in parts of one, at most one.
func ratio(a, b int64) int64 {
	if a >= b {
		return one
	}
	hi, lo := bits.Mul64(uint64(a), one)
	quotient, _ := bits.Div64(hi, lo, uint64(b))
	return int64(quotient)
}

// borrowed is what is held beyond a guarantee, as a share of the cluster: of resources
// of which somebody is guaranteed something, or of all where nobody is.
func (u *Usage) borrowed(used, guaranteed cluster.Resources) int64 {
	if len(u.tree.shared) == 0 {
		return dominant(used, u.total)
	}
	var over cluster.Resources
	for _, r := range u.tree.shared {
		over = over.Set(r, max(0, used.Get(r)-guaranteed.Get(r)))
	}
	return dominant(over, u.total)
}

// Shares are what the queues have borrowed now, in parts of the cluster (1<<40 is all of
// it); what gangs without a queue hold goes by the name of Nobody.
func (u *Usage) Shares() map[string]int64 {
	shares := map[string]int64{Nobody: u.borrowed(u.nobody, nil)}
	for i := 1; i < len(u.tree.nodes); i++ {
		shares[u.tree.nodes[i].Name] = u.borrowed(u.used[i], u.tree.nodes[i].Guaranteed)
	}
	return shares
}

// Turns gives every queue its place in the order in which queues borrow, by what it has
// borrowed for its weight, now and of late: the least first. Queues that have borrowed
// the same have the same place. A gang that asks for no more than its queue is
// guaranteed comes before all that borrow; see Usage.Turn.
func (u *Usage) Turns(late History) map[string]int {
	now := u.Shares()
	scores := make([][]int64, 0, len(u.tree.nodes))
	names := append([]string{Nobody}, u.tree.Queues()...)
	for _, name := range names {
		scores = append(scores, u.score(name, now, late))
	}
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(slices.Compare(scores[a], scores[b]), cmp.Compare(names[a], names[b]))
	})
	turns := map[string]int{}
	place := 1
	for k, i := range order {
		if k > 0 && slices.Compare(scores[order[k-1]], scores[i]) != 0 {
			place++
		}
		turns[names[i]] = place
	}
	return turns
}

// lateWeight is how much more what was borrowed of late weighs than what is borrowed
// now. The past alone would bring every queue its part exactly; the present keeps one
// that comes back from taking all that becomes free in one moment.
const lateWeight = 16

// score is what a queue has borrowed for its weight, after the queues above it, the
// widest first.
func (u *Usage) score(queue string, now map[string]int64, late History) []int64 {
	path := u.tree.path(queue)
	if len(path) == 0 {
		return []int64{now[Nobody] + lateWeight*late.Share(Nobody)}
	}
	var score []int64
	for _, i := range slices.Backward(path) {
		q := &u.tree.nodes[i]
		score = append(score, (now[q.Name]+lateWeight*late.Share(q.Name))/q.Weight)
	}
	return score
}

// Turn is the place of a gang in the order of those of equal priority: 0 where it asks
// for no more than it is guaranteed, else that of its queue.
func (u *Usage) Turn(queue string, asked cluster.Resources, turns map[string]int) int {
	if u.Guaranteed(queue, asked) {
		return 0
	}
	if _, known := u.tree.at[queue]; !known {
		queue = Nobody
	}
	return turns[queue]
}
