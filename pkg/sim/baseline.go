package sim

import (
	"slices"

	"lockstep.dev/lockstep/pkg/queue"
)

// baseline is a scheduler that places gangs pod by pod, in the same order of the
// queue: what a policy for single pods does to gangs, all-or-nothing apart.
type baseline struct {
	machine  *Machine
	pods     podByPod
	patience int64
	queue    []*task
}

func (b *baseline) submit(_ int64, t *task) {
	key := func(t *task) queue.Key {
		return queue.Key{Priority: int32(t.Priority), Since: moment(t.SubmitSeconds), Group: groupOf(t).String()}
	}
	at, _ := slices.BinarySearchFunc(b.queue, t, func(a, t *task) int {
		if queue.Less(key(a), key(t)) {
			return -1
		}
		return 1
	})
	b.queue = slices.Insert(b.queue, at, t)
}

func (b *baseline) start(now int64, started func(*task)) {
	kept := b.queue[:0]
	for i, t := range b.queue {
		if b.place(t) {
			started(t)
			continue
		}
		kept = append(kept, t)
		if now-t.SubmitSeconds > b.patience {
			kept = append(kept, b.queue[i+1:]...)
			break
		}
	}
	clear(b.queue[len(kept):])
	b.queue = kept
}

func (b *baseline) place(t *task) bool {
	if t.GPUs() > b.machine.free {
		return false
	}
	t.nodes = b.pods.place(b.machine, t.request)
	for rank, node := range t.nodes {
		b.machine.take(node, t.requests(rank))
	}
	return t.nodes != nil
}

func (b *baseline) ended(_ int64, t *task) {
	for rank, node := range t.nodes {
		b.machine.give(node, t.requests(rank))
	}
}

func (b *baseline) waiting() []*task { return b.queue }
