package quota

import (
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
)

// Trial is what queues would hold if some took more and others gave back.
type Trial struct {
	usage *Usage
	held  []cluster.Resources // by place in the tree
}

// Trial begins with what queues hold. That stays as it is.
func (u *Usage) Trial() *Trial {
	t := &Trial{usage: u}
	t.Reset()
	return t
}

// Reset takes back all that was tried.
func (t *Trial) Reset() { t.held = slices.Clone(t.usage.used) }

// Admits reports whether no cap keeps out what is asked for in a queue.
func (t *Trial) Admits(queue string, asked cluster.Resources) bool {
	_, refused := t.usage.refuses(t.usage.tree.path(queue), asked, t.held)
	return !refused
}

// Take counts amounts in a queue and in all above it.
func (t *Trial) Take(queue string, amounts cluster.Resources) {
	t.move(queue, amounts, cluster.Resources.Add)
}

// Give counts them no more.
func (t *Trial) Give(queue string, amounts cluster.Resources) {
	t.move(queue, amounts, cluster.Resources.Sub)
}

func (t *Trial) move(queue string, amounts cluster.Resources, change func(a, b cluster.Resources) cluster.Resources) {
	for _, at := range t.usage.tree.path(queue) {
		t.held[at] = change(t.held[at].Clone(), amounts)
	}
}
