package sim

import (
	"fmt"
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/queue"
	"lockstep.dev/lockstep/pkg/quota"
)

// scheduler gives nodes to jobs that wait. It books them on the machine.
type scheduler interface {
	// submit takes in a job that waits.
	submit(now int64, t *task)
	// start tries those who wait, in the order of the queue; started hears of each
	// that got nodes: it has pods then.
	start(now int64, started func(t *task))
	// ended takes in that a job's pods are gone, and gives their nodes back.
	ended(now int64, t *task)
	// waiting are the jobs that wait, in the order of the queue.
	waiting() []*task
}

// moment is a second of a trace on the core's clock.
func moment(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

// live is the scheduler that runs in a cluster, its core at least: the replay stands
// in for the scheduler framework around it, in which every filter agrees and every
// bind succeeds at once.
type live struct {
	core    *core.Core
	machine *Machine
	epoch   uint64
	queue   []*entry
	tasks   map[gang.Key]*task
	leaving []leaver
	victims []eviction
	holders map[*task]*core.Reservation // jobs for which room is reserved
	// reserveAfter is how long, in seconds, a job waits before it may be one; 0: for ever.
	reserveAfter int64
	tree         *quota.Tree // of queues; nil: there are none
	// declare says that jobs tell for how long they run.
	declare bool
}

// entry is the pods of one job that wait, in rank order.
type entry struct {
	key   queue.Key
	task  *task
	pods  []pod
	tried int64  // when; 0: never
	like  string // the same for jobs that are refused together
}

// leaver is a pod that was deleted and is still on its node.
type leaver struct {
	task *task
	pod  pod
}

// eviction is what the core wants to be ended for somebody else.
type eviction struct {
	task *task
	uids []string
	why  core.Reason
}

// retry is how often a gang is tried for which there are not even nodes with enough
// GPUs free: what there is to be done about it besides placing it is done then.
const retry = 300

func newLive(m *Machine, options ReplayOptions) *live {
	s := &live{machine: m, tasks: map[gang.Key]*task{}, holders: map[*task]*core.Reservation{}, declare: options.DeclareDurations, reserveAfter: options.ReserveAfterSeconds, core: core.New(core.Options{
		Vocabulary: vocabulary, NoPreemption: !options.Preemption,
		ReserveAfter: time.Duration(options.ReserveAfterSeconds) * time.Second,
		ReclaimAfter: time.Duration(options.ReclaimAfterSeconds) * time.Second,
	})}
	s.step(0, core.Elected{})
	return s
}

func groupOf(t *task) gang.Key { return gang.Key{Namespace: "trace", Name: t.Name} }

// memberOf is a pod as the core sees it.
func memberOf(t *task, p pod) gang.Member {
	m := gang.Member{UID: p.uid, Name: p.uid, Role: "worker", Index: p.number, Requests: t.requests(p), Priority: int32(t.Priority)}
	if p.master {
		m.Role = "master"
	}
	m.Class = fmt.Sprint(m.Requests)
	return m
}

// step hands an event to the core. The replay looks for places at every event anyway,
// so all that it has to carry out are evictions.
func (s *live) step(now int64, event core.Event) {
	for _, effect := range s.core.Step(moment(now), event) {
		switch e := effect.(type) {
		case core.Evict:
			s.victims = append(s.victims, eviction{s.tasks[e.Key], e.UIDs, e.Reason})
		case core.Report:
			s.reported(now, s.tasks[e.Key], e.Status.Reservation)
		}
	}
}

// reported takes in what is reserved for a job.
func (s *live) reported(now int64, t *task, r *core.Reservation) {
	switch {
	case t == nil:
	case r == nil:
		delete(s.holders, t)
	default:
		if s.holders[t] = r; t.reserved < 0 {
			t.reserved = now
		}
	}
}

// kept is the number of GPUs that are free and reserved for somebody.
func (s *live) kept() int64 {
	if s == nil {
		return 0
	}
	sum := int64(0)
	for _, r := range s.holders {
		for _, room := range r.Room {
			if node, ok := s.machine.find(room.Node); ok {
				sum += min(max(0, s.machine.nodes[node].Free.Get(gpus)), room.Amounts.Get(gpus))
			}
		}
	}
	return sum
}

func (s *live) submit(now int64, t *task) {
	s.tasks[groupOf(t)] = t
	spec := gang.Spec{
		Key: groupOf(t), UID: t.Name, Floor: t.floor + t.masters(), Created: moment(t.SubmitSeconds),
		Queue: t.Queue, Required: gang.Level{Name: t.Required}, Preferred: gang.Level{Name: t.Preferred},
	}
	if s.declare {
		spec.Duration = seconds(t.DurationSeconds)
	}
	s.step(now, core.GroupSeen{Spec: spec})
	s.enqueue(now, t, t.make(t.masters(), t.Workers))
}

// enqueue makes pods wait.
func (s *live) enqueue(now int64, t *task, pods []pod) *entry {
	for _, p := range pods {
		s.step(now, core.MemberSeen{Key: groupOf(t), Member: memberOf(t, p)})
	}
	e := &entry{task: t, pods: pods, like: fmt.Sprint(t.request, len(pods), t.floor, t.Priority, t.Queue)}
	if s.declare {
		e.like += fmt.Sprint(" ", t.DurationSeconds)
	}
	e.key, _ = s.core.QueueKey(pods[0].uid)
	at, _ := slices.BinarySearchFunc(s.queue, e, byPlace)
	s.queue = slices.Insert(s.queue, at, e)
	return e
}

func byPlace(a, b *entry) int {
	if queue.Less(a.key, b.key) {
		return -1
	}
	return 1
}

func (s *live) start(now int64, started func(t *task)) {
	s.step(now, core.Tick{})
	s.reorder()
	refused := map[string]bool{} // what found no place in this pass, in which none comes free
	s.queue = slices.DeleteFunc(s.queue, func(e *entry) bool {
		if refused[e.like] && s.holders[e.task] == nil || !s.worthTrying(now, e) {
			return false
		}
		if !s.attempt(now, e) {
			refused[e.like] = true
			return false
		}
		started(e.task)
		return true
	})
}

// worthTrying spares attempts that are bound to fail. A job for which room may be
// reserved is tried in its turn while room is reserved for nobody.
func (s *live) worthTrying(now int64, e *entry) bool {
	each := int(e.task.GPUsPerWorker)
	return each == 0 || s.machine.slots(each) >= e.task.floor || now >= e.tried+retry ||
		s.reserveAfter > 0 && len(s.holders) == 0 && now >= e.task.SubmitSeconds+s.reserveAfter
}

// attempt is what the framework does with a gang whose turn it is: the first member
// is tried, and all that were given a node are reserved, permitted and bound. Those
// that were not are given up: the job runs without them.
func (s *live) attempt(now int64, e *entry) bool {
	t, before := e.task, len(e.task.pods)
	var left []pod
	e.tried = now
	s.step(now, core.Attempt{UID: e.pods[0].uid, View: s.view()})
	for _, p := range e.pods {
		name, ok := s.core.Pinned(p.uid)
		if !ok {
			left = append(left, p)
			continue
		}
		p.node, _ = s.machine.find(name)
		p.since = now
		s.machine.take(p.node, t.requests(p))
		s.step(now, core.Reserved{UID: p.uid})
		t.pods = append(t.pods, p)
	}
	fresh := t.pods[before:]
	if len(fresh) == 0 {
		return false
	}
	for _, p := range fresh {
		s.step(now, core.Permit{UID: p.uid})
	}
	for _, p := range fresh {
		m := memberOf(t, p)
		m.Started = moment(now)
		s.step(now, core.MemberSeen{Key: groupOf(t), Member: m, Node: s.machine.nodes[p.node].Name})
	}
	s.withdraw(now, t, left)
	return true
}

// withdraw deletes pods.
func (s *live) withdraw(now int64, t *task, pods []pod) {
	for _, p := range pods {
		s.step(now, core.MemberGone{Key: groupOf(t), UID: p.uid})
	}
}

// view is the cluster as the core sees it in an attempt.
func (s *live) view() core.View {
	return core.View{
		Nodes: s.machine.nodes, Tree: s.machine.tree, Index: s.machine.Index, Epoch: s.epoch,
		Eligible: func(string, int) bool { return true }, Others: s.others,
	}
}

// others are the pods that the core does not count as members any more.
func (s *live) others() []core.Occupant {
	list := make([]core.Occupant, len(s.leaving))
	for i, l := range s.leaving {
		list[i] = core.Occupant{
			Pod: gang.Key{Namespace: "trace", Name: l.pod.uid}, UID: l.pod.uid, Node: l.pod.node,
			Requests: l.task.requests(l.pod), Since: moment(l.pod.since), Leaving: true,
		}
	}
	return list
}

// grow adds Workers to a job that runs, as many of them as find a node now, and says
// how many those are.
func (s *live) grow(now int64, t *task, n int) int {
	before := len(t.pods)
	e := s.enqueue(now, t, t.make(0, n))
	if !s.attempt(now, e) {
		s.withdraw(now, t, e.pods)
	}
	s.queue = slices.DeleteFunc(s.queue, func(other *entry) bool { return other == e })
	return len(t.pods) - before
}

// mark says in the status of pods of a job that they are to go, and why.
func (s *live) mark(now int64, t *task, uids []string, why core.Reason) {
	for _, p := range t.pods {
		if slices.Contains(uids, p.uid) {
			m := memberOf(t, p)
			m.Started = moment(p.since)
			s.step(now, core.MemberSeen{Key: groupOf(t), Member: m, Node: s.machine.nodes[p.node].Name, Evicted: why})
		}
	}
}

// remove deletes pods of a job that runs. They keep their nodes until they are freed.
func (s *live) remove(now int64, t *task, uids []string) []leaver {
	var gone []leaver
	t.pods = slices.DeleteFunc(t.pods, func(p pod) bool {
		if !slices.Contains(uids, p.uid) {
			return false
		}
		gone = append(gone, leaver{t, p})
		return true
	})
	for _, l := range gone {
		s.step(now, core.MemberGone{Key: groupOf(t), UID: l.pod.uid})
	}
	s.leaving = append(s.leaving, gone...)
	return gone
}

// free gives back the nodes of pods that have left.
func (s *live) free(gone []leaver) {
	for _, l := range gone {
		s.machine.give(l.pod.node, l.task.requests(l.pod))
	}
	s.leaving = slices.DeleteFunc(s.leaving, func(l leaver) bool { return slices.Contains(gone, l) })
	s.epoch++
}

func (s *live) ended(now int64, t *task) {
	s.step(now, core.GroupGone{Key: groupOf(t)})
	s.withdraw(now, t, t.pods)
	s.reported(now, t, nil)
	delete(s.tasks, groupOf(t))
	for _, p := range t.pods {
		s.machine.give(p.node, t.requests(p))
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
