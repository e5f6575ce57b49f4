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
	l := &lifting{Trial: u.Trial(), queue: queue, asked: asked, pieces: pieces, gone: make([]bool, len(pieces))}
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
		if l.turn(i); !l.admitted() {
			l.turn(i)
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
	*Trial        // what queues hold without those that are gone
	queue  string // the gang's
	asked  cluster.Resources
	pieces []Piece
	gone   []bool
}

func (l *lifting) admitted() bool { return l.Admits(l.queue, l.asked) }

// counts reports whether a piece holds something of what a cap in the way is about.
func (l *lifting) counts(i int) bool {
	p := l.pieces[i]
	path := l.usage.tree.path(l.queue)
	for at, queue := range path {
		r, refused := l.usage.refuses(path[at:at+1], l.asked, l.held)
		if refused && p.Amounts.Get(r.Resource) > 0 && slices.Contains(l.usage.tree.path(p.Queue), queue) {
			return true
		}
	}
	return false
}

// take lets a piece go, and with a rest all of its owner's.
func (l *lifting) take(i int) {
	l.turn(i)
	for k := range l.pieces {
		if l.pieces[i].Rest && l.pieces[k].Owner == l.pieces[i].Owner && !l.gone[k] {
			l.turn(k)
		}
	}
}

// mayStay reports whether a piece that goes could stay: not where the rest of its owner goes.
func (l *lifting) mayStay(i int) bool {
	rest := slices.IndexFunc(l.pieces, func(p Piece) bool { return p.Rest && p.Owner == l.pieces[i].Owner })
	return l.gone[i] && (rest < 0 || rest == i || !l.gone[rest])
}

// turn lets a piece go, or come back.
func (l *lifting) turn(i int) {
	p := l.pieces[i]
	if l.gone[i] = !l.gone[i]; l.gone[i] {
		l.Give(p.Queue, p.Amounts)
	} else {
		l.Take(p.Queue, p.Amounts)
	}
}
