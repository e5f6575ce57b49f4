package sim

import (
	"fmt"
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/queue"
)

// scheduler gives nodes to jobs that wait. It books them on the machine.
type scheduler interface {
	// submit takes in a job that waits.
	submit(now int64, t *task)
	// start tries those who wait, in the order of the queue; started hears of each
	// that got nodes: t.nodes are set.
	start(now int64, started func(t *task))
	// ended takes in that a job's members are gone, and gives their nodes back.
	ended(now int64, t *task)
	// waiting are the jobs that wait as a whole, in the order of the queue.
	waiting() []*task
}

// moment is a second of a trace on the core's clock.
func moment(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

// live is the scheduler that runs in a cluster, its core at least: the replay stands
// in for the scheduler framework around it, in which every filter agrees and every
// bind succeeds at once.
type live struct {
	core     *core.Core
	machine  *Machine
	epoch    uint64
	patience int64
	queue    []*entry
}

// entry is the members of one job that wait, in rank order from first on.
type entry struct {
	key   queue.Key
	task  *task
	first int
	count int
	tried int64 // when; 0: never
}

// retry is how often a gang is tried for which not even the number of free GPUs would
// do: what is there to be done about it besides placing it (time passes for
// reservations, too) is done then.
const retry = 600

func newLive(m *Machine, patience int64) *live {
	return &live{core: core.New(core.Options{Vocabulary: vocabulary}), machine: m, patience: patience}
}

func groupOf(t *task) gang.Key { return gang.Key{Namespace: "trace", Name: t.Name} }

func uidOf(t *task, rank int) string { return fmt.Sprintf("%s-%d", t.Name, rank) }

// memberOf is the member of a rank as the core sees it.
func memberOf(t *task, rank int) gang.Member {
	m := gang.Member{UID: uidOf(t, rank), Role: "worker", Index: rank - t.masters(), Requests: t.requests(rank), Priority: int32(t.Priority)}
	if rank < t.masters() {
		m.Role, m.Index = "master", rank
	}
	m.Name = m.UID
	m.Class = fmt.Sprint(m.Requests)
	return m
}

func (s *live) step(now int64, event core.Event) { s.core.Step(moment(now), event) }

func (s *live) submit(now int64, t *task) {
	s.step(now, core.GroupSeen{Spec: gang.Spec{
		Key: groupOf(t), UID: t.Name, Floor: t.floor + t.masters(), Required: gang.Level{Name: t.Required}, Preferred: gang.Level{Name: t.Preferred},
		Created: moment(t.SubmitSeconds),
	}})
	s.enqueue(now, t, 0, t.Workers+t.masters())
}

// enqueue makes members that wait.
func (s *live) enqueue(now int64, t *task, first, count int) *entry {
	for rank := first; rank < first+count; rank++ {
		s.step(now, core.MemberSeen{Key: groupOf(t), Member: memberOf(t, rank)})
	}
	e := &entry{task: t, first: first, count: count}
	e.key, _ = s.core.QueueKey(uidOf(t, first))
	at, _ := slices.BinarySearchFunc(s.queue, e, func(a, b *entry) int {
		if queue.Less(a.key, b.key) {
			return -1
		}
		return 1
	})
	s.queue = slices.Insert(s.queue, at, e)
	return e
}

func (s *live) start(now int64, started func(t *task)) {
	kept := s.queue[:0]
	for i, e := range s.queue {
		if s.worthTrying(now, e) && s.attempt(now, e) {
			started(e.task)
			continue
		}
		kept = append(kept, e)
		if now-e.task.SubmitSeconds > s.patience {
			kept = append(kept, s.queue[i+1:]...)
			break
		}
	}
	clear(s.queue[len(kept):])
	s.queue = kept
}

// worthTrying spares attempts that are bound to fail.
func (s *live) worthTrying(now int64, e *entry) bool {
	return int64(e.task.floor)*e.task.GPUsPerWorker <= s.machine.free || now >= e.tried+retry
}

// attempt is what the framework does with a gang whose turn it is: the first member
// is tried, and all that were given a node are reserved, permitted and bound. Those
// that were not are given up: the job runs without them.
func (s *live) attempt(now int64, e *entry) bool {
	t := e.task
	e.tried = now
	s.step(now, core.Attempt{UID: uidOf(t, e.first), View: s.view()})
	placed := 0
	for ; placed < e.count; placed++ {
		name, ok := s.core.Pinned(uidOf(t, e.first+placed))
		if !ok {
			break
		}
		node, _ := s.machine.find(name)
		t.nodes = append(t.nodes, node)
		s.machine.take(node, t.requests(e.first+placed))
		s.step(now, core.Reserved{UID: uidOf(t, e.first+placed)})
	}
	if placed == 0 {
		return false
	}
	for rank := e.first; rank < e.first+placed; rank++ {
		s.step(now, core.Permit{UID: uidOf(t, rank)})
	}
	for rank := e.first; rank < e.first+placed; rank++ {
		s.step(now, core.MemberSeen{Key: groupOf(t), Member: memberOf(t, rank), Node: s.machine.nodes[t.nodes[rank]].Name})
	}
	s.withdraw(now, t, e.first+placed, e.first+e.count)
	return true
}

// withdraw deletes members of the given ranks.
func (s *live) withdraw(now int64, t *task, from, to int) {
	for rank := from; rank < to; rank++ {
		s.step(now, core.MemberGone{Key: groupOf(t), UID: uidOf(t, rank)})
	}
}

// view is the cluster as the core sees it in an attempt.
func (s *live) view() core.View {
	return core.View{
		Nodes: s.machine.nodes, Tree: s.machine.tree, Index: s.machine.Index, Epoch: s.epoch,
		Eligible: func(string, int) bool { return true },
	}
}

// grow adds Workers to a job that runs, as many of them as find a node now, and says
// how many those are.
func (s *live) grow(now int64, t *task, n int) int {
	before := len(t.nodes)
	e := s.enqueue(now, t, before, n)
	if !s.attempt(now, e) {
		s.withdraw(now, t, before, before+n)
	}
	s.queue = slices.DeleteFunc(s.queue, func(other *entry) bool { return other == e })
	return len(t.nodes) - before
}

// shrink deletes the last Workers of a job. Their nodes, which it returns, are booked
// until they are freed.
func (s *live) shrink(now int64, t *task, n int) []int {
	left := len(t.nodes) - n
	s.withdraw(now, t, left, len(t.nodes))
	nodes := t.nodes[left:]
	t.nodes = t.nodes[:left:left]
	return nodes
}

// free gives back nodes of Workers that have left.
func (s *live) free(t *task, nodes []int) {
	for _, node := range nodes {
		s.machine.give(node, t.workerClass().Requests)
	}
	s.epoch++
}

func (s *live) ended(now int64, t *task) {
	s.withdraw(now, t, 0, len(t.nodes))
	s.step(now, core.GroupGone{Key: groupOf(t)})
	for rank, node := range t.nodes {
		s.machine.give(node, t.requests(rank))
	}
	s.epoch++
}

func (s *live) waiting() []*task {
	tasks := make([]*task, len(s.queue))
	for i, e := range s.queue {
		tasks[i] = e.task
	}
	return tasks
}
