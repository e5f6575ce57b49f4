package quota

import (
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
)

// Piece is what may go at once of somebody who holds room: a part of his surplus, or the
// rest, with which all of it goes.
type Piece struct {
	Owner   int // tells it from others' pieces
	Queue   string
	Amounts cluster.Resources
	Rest    bool
}

// Lift says which pieces have to go, by their places, so that a gang is admitted that a cap
// keeps out: of those that count for a cap in its way the first that are enough, less those
// that turn out not to be needed. None where it is admitted as it is; not ok where it would
// be kept out even without all of them.
func (u *Usage) Lift(queue string, asked cluster.Resources, pieces []Piece) (goes []int, ok bool) {
	path, left, gone := u.tree.path(queue), slices.Clone(u.used), make([]bool, len(pieces))
	move := func(i int, change func(a, b cluster.Resources) cluster.Resources) {
		gone[i] = !gone[i]
		for _, at := range u.tree.path(pieces[i].Queue) {
			left[at] = change(left[at].Clone(), pieces[i].Amounts)
		}
	}
	admitted := func() bool { _, refused := u.refuses(path, asked, left); return !refused }
	counts := func(p Piece) bool {
		for at := range path {
			r, refused := u.refuses(path[at:at+1], asked, left)
			if refused && p.Amounts.Get(r.Resource) > 0 && slices.Contains(u.tree.path(p.Queue), path[at]) {
				return true
			}
		}
		return false
	}
	for i, p := range pieces {
		if admitted() {
			break
		}
		if !gone[i] && counts(p) {
			move(i, cluster.Resources.Sub)
			for k, other := range pieces {
				if p.Rest && other.Owner == p.Owner && !gone[k] {
					move(k, cluster.Resources.Sub)
				}
			}
		}
	}
	if !admitted() {
		return nil, false
	}
	for i, p := range slices.Backward(pieces) {
		rest := func(other Piece) bool { return other.Rest && other.Owner == p.Owner }
		if k := slices.IndexFunc(pieces, rest); !gone[i] || k >= 0 && k != i && gone[k] {
			continue
		}
		if move(i, cluster.Resources.Add); !admitted() {
			move(i, cluster.Resources.Sub)
		}
	}
	for i := range pieces {
		if gone[i] {
			goes = append(goes, i)
		}
	}
	return goes, true
}
