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
	l := &lifting{usage: u, path: u.tree.path(queue), asked: asked, pieces: pieces, left: slices.Clone(u.used), gone: make([]bool, len(pieces))}
	for i := range pieces {
		if l.admitted() {
			break
		}
		if !l.gone[i] && l.counts(i) {
			l.take(i)
		}
	}
	if !l.admitted() {
		return nil, false
	}
	for i := range slices.Backward(pieces) {
		if !l.mayStay(i) {
			continue
		}
		if l.move(i, cluster.Resources.Add); !l.admitted() {
			l.move(i, cluster.Resources.Sub)
		}
	}
	for i := range pieces {
		if l.gone[i] {
			goes = append(goes, i)
		}
	}
	return goes, true
}

// lifting is a search for who goes for a cap.
type lifting struct {
	usage  *Usage
	path   []int // of the gang's queue
	asked  cluster.Resources
	pieces []Piece
	left   []cluster.Resources // what queues hold without those that are gone
	gone   []bool
}

func (l *lifting) admitted() bool {
	_, refused := l.usage.refuses(l.path, l.asked, l.left)
	return !refused
}

// counts reports whether a piece holds something of what a cap in the way is about.
func (l *lifting) counts(i int) bool {
	p := l.pieces[i]
	for at, queue := range l.path {
		r, refused := l.usage.refuses(l.path[at:at+1], l.asked, l.left)
		if refused && p.Amounts.Get(r.Resource) > 0 && slices.Contains(l.usage.tree.path(p.Queue), queue) {
			return true
		}
	}
	return false
}

// take lets a piece go, and with a rest all of its owner's.
func (l *lifting) take(i int) {
	l.move(i, cluster.Resources.Sub)
	for k := range l.pieces {
		if l.pieces[i].Rest && l.pieces[k].Owner == l.pieces[i].Owner && !l.gone[k] {
			l.move(k, cluster.Resources.Sub)
		}
	}
}

// mayStay reports whether a piece that goes could stay: not where the rest of its owner goes.
func (l *lifting) mayStay(i int) bool {
	rest := slices.IndexFunc(l.pieces, func(p Piece) bool { return p.Rest && p.Owner == l.pieces[i].Owner })
	return l.gone[i] && (rest < 0 || rest == i || !l.gone[rest])
}

func (l *lifting) move(i int, change func(a, b cluster.Resources) cluster.Resources) {
	l.gone[i] = !l.gone[i]
	for _, at := range l.usage.tree.path(l.pieces[i].Queue) {
		l.left[at] = change(l.left[at].Clone(), l.pieces[i].Amounts)
	}
}
