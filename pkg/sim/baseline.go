package sim

import (
	"slices"

	"lockstep.dev/lockstep/pkg/queue"
)

// baseline is a scheduler that places gangs pod by pod, in the same order of the
// queue: what a policy for single pods does to gangs, all-or-nothing apart. A job that
// does not fit is passed over until it has lost patience; then nothing behind it starts.
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
		if b.place(now, t) {
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

func (b *baseline) place(now int64, t *task) bool {
	if t.GPUs() > b.machine.free {
		return false
	}
	nodes := b.pods.place(b.machine, t.request)
	if nodes == nil {
		return false
	}
	t.pods = t.make(t.masters(), t.Workers)
	for i := range t.pods {
		t.pods[i].node, t.pods[i].since = nodes[i], now
		b.machine.take(nodes[i], t.requests(t.pods[i]))
	}
	return true
}

func (b *baseline) ended(_ int64, t *task) {
	for _, p := range t.pods {
		b.machine.give(p.node, t.requests(p))
	}
}

func (b *baseline) waiting() []*task { return b.queue }
