package core_test

import (
	"fmt"
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/queue"
	"lockstep.dev/lockstep/pkg/topology"
)

// The simulated scheduler framework: what the watches have told (the cache), the
// scheduling queue with its gate, one scheduling cycle at a time, members that
// wait in Permit, binds that go on beside, and wake-ups that come later.

type place int

const (
	gated place = iota
	active
	backoff
	unschedulable
	cycling  // in its scheduling cycle
	waiting  // in Permit
	rejected // in Permit, about to be let go
	binding
)

// queued is a pod without a node, as the scheduler sees it.
type queued struct {
	pod      simPod
	place    place
	key      queue.Key // as of when it became active
	until    time.Time // backoff, Permit and the periodic flush
	activate bool      // it was activated while it was in flight
	gone     bool      // deleted while it was in flight
	tries    int       // of its binder
	doubt    bool      // one of them may have bound it
	since    time.Time // it is known that its bind is under way
}

func (q *queued) inFlight() bool { return q.place >= cycling }

type scheduler struct {
	nodes    map[string]simNode
	tree     *topology.Tree               // nil when nodes came, went or moved
	index    *placement.Index             // kept from attempt to attempt, with the tree
	told     map[string]cluster.Resources // what the index was told to be free, by node
	known    map[string]simPod            // as the watch of pods has told
	bound    map[string]simPod
	assumed  map[string]simPod // node is where
	pending  map[string]*queued
	mail     map[string]bool // wake-ups
	epoch    uint64
	altered  uint64 // counts changes of nodes
	attempts int
	finished map[string]gang.Key
	floors   map[gang.Key]int
	specs    map[gang.Key]gang.Spec
	promised map[gang.Key]*core.Reservation // as the groups say
	queues   map[string]simQueue
	shares   shares            // by what the watch of queues has told
	learnt   map[gang.Key]bool // gangs that the filters have refused a node
	life     int               // a number for every process
}

const (
	permitTimeout = 30 * time.Second
	bindTimeout   = time.Minute
	flushAfter    = 5 * time.Minute
	healTimeout   = time.Minute
)

func newScheduler() scheduler {
	return scheduler{
		nodes: map[string]simNode{}, known: map[string]simPod{}, bound: map[string]simPod{}, assumed: map[string]simPod{}, pending: map[string]*queued{},
		mail: map[string]bool{}, told: map[string]cluster.Resources{}, finished: map[string]gang.Key{}, floors: map[gang.Key]int{}, learnt: map[gang.Key]bool{},
		specs: map[gang.Key]gang.Spec{}, promised: map[gang.Key]*core.Reservation{}, queues: map[string]simQueue{},
	}
}

func (s *sim) nodeSeen(n simNode) {
	if old, ok := s.nodes[n.Name]; !ok || old.Labels["rack"] != n.Labels["rack"] {
		s.tree = nil
	}
	s.nodes[n.Name] = n
	delete(s.told, n.Name)
	s.epoch++
	s.altered++
	s.hint()
}

func (s *sim) nodeGone(name string) {
	delete(s.nodes, name)
	s.tree = nil
	s.epoch++
	s.altered++
	s.step(core.NodeGone{Name: name})
}

func (s *sim) groupSeen(spec gang.Spec, promise *core.Reservation) {
	s.floors[spec.Key] = spec.Floor
	s.specs[spec.Key], s.promised[spec.Key] = spec, promise
	s.step(core.GroupSeen{Spec: s.shares.charged(spec), Reservation: promise})
}

func (s *sim) groupGone(k gang.Key) {
	delete(s.floors, k)
	delete(s.specs, k)
	delete(s.promised, k)
	s.step(core.GroupGone{Key: k})
}

func (s *sim) finishedSeen(p simPod) {
	s.finished[p.uid] = p.key
	s.step(core.MemberFinished{Key: p.key, UID: p.uid})
}

func (s *sim) finishedForgotten(p simPod) {
	delete(s.finished, p.uid)
	s.step(core.FinishedForgotten{Key: p.key, UID: p.uid})
}

func (s *sim) podSeen(p simPod) {
	s.known[p.uid] = p
	if p.node != "" {
		if last, there := s.bound[p.uid]; there && !slices.Equal(last.member.Requests, p.member.Requests) {
			s.epoch++ // resized in place
			defer s.hint()
		}
		s.bound[p.uid] = p
		delete(s.assumed, p.uid)
		if q := s.pending[p.uid]; q != nil && !q.inFlight() {
			delete(s.pending, p.uid)
		} else if q != nil {
			q.gone = true
		}
	}
	switch {
	case p.alien:
	case p.deleting:
		s.step(core.MemberGone{Key: p.key, UID: p.uid})
		s.forgetPending(p.uid)
	default:
		s.step(core.MemberSeen{Key: p.key, Member: p.member, Node: p.node, Barred: p.barred, Evicted: p.disrupted})
	}
	if p.node != "" || p.deleting {
		return
	}
	q := s.pending[p.uid]
	if q == nil {
		if _, assumed := s.assumed[p.uid]; assumed {
			return // old news of a pod that has been bound meanwhile
		}
		q = &queued{}
		s.pending[p.uid] = q
	}
	q.pod = p
	if !q.inFlight() && !s.starting {
		s.enqueue(q)
	}
}

func (s *sim) podGone(p simPod) {
	_, wasBound := s.bound[p.uid]
	delete(s.bound, p.uid)
	delete(s.known, p.uid)
	if s.pending[p.uid] == nil {
		delete(s.assumed, p.uid) // it was bound, and that was never seen
	}
	s.epoch++
	if !p.alien {
		s.step(core.MemberGone{Key: p.key, UID: p.uid})
	}
	s.forgetPending(p.uid)
	if wasBound {
		s.hint()
	}
}

func (s *sim) forgetPending(uid string) {
	q := s.pending[uid]
	switch {
	case q == nil:
	case q.inFlight():
		q.gone = true
		if q.place == waiting {
			q.place = rejected
		}
	default:
		delete(s.pending, uid)
	}
}

// enqueue is PreEnqueue: the pod becomes active, with its place in the queue
// fixed, or stays gated.
func (s *sim) enqueue(q *queued) {
	if reason := s.core.Gate(q.pod.uid); reason.Code != "" || q.pod.barred != "" {
		q.place = gated
		return
	}
	q.key, _ = s.core.QueueKey(q.pod.uid)
	q.place = active
}

// wake delivers an activation.
func (s *sim) wake(uid string) {
	q := s.pending[uid]
	switch {
	case q == nil || q.place == active:
	case q.inFlight():
		q.activate = true
	default:
		s.enqueue(q)
	}
}

// hint is what follows from a change in the cluster: leaders of gangs try again.
func (s *sim) hint() {
	for _, uid := range sorted(s.pending) {
		q := s.pending[uid]
		if q.place == unschedulable && s.core.Leads(uid) && s.core.Gate(uid).Code == "" {
			s.backOff(q)
		}
	}
}

func (s *sim) backOff(q *queued) { q.place, q.until = backoff, s.now.Add(time.Second) }

// step hands an event to the core and carries out the effects.
func (s *sim) step(event core.Event) []core.Effect {
	s.tracef("%T%v", event, brief(event))
	effects := s.core.Step(s.now, event)
	for _, e := range effects {
		s.carryOut(e)
	}
	if broken := s.core.Check(); len(broken) > 0 {
		s.assert("after %T%v: %v", event, brief(event), broken)
	}
	return effects
}

// released: the floor must be able to be bound, by the scheduler's own picture.
func (s *sim) released(uids []string) {
	k := s.pending[uids[0]].pod.key
	n := 0
	for _, uid := range s.core.Members(k) {
		switch state, _ := s.core.State(uid); state {
		case gang.Binding:
			n++
		case gang.Bound:
			if s.bound[uid].node == "" {
				s.assert("S6: %s is taken for bound", uid)
			}
			n++
		case gang.Waiting, gang.Held, gang.Reserved:
		}
	}
	for _, of := range s.finished {
		if of == k {
			n++
		}
	}
	if n < s.floors[k] {
		s.assert("S1: %v are released, and only %d of %d have places", uids, n, s.floors[k])
	}
}

// endGraces: pods that are being deleted end when they like.
func (s *sim) endGraces() {
	for _, uid := range sorted(s.api.pods) {
		if s.api.pods[uid].deleting && s.rand.IntN(2) == 0 {
			s.removePod(uid)
		}
	}
}

// view is the cache as the planner sees it.
func (s *sim) view() core.View {
	names := sorted(s.nodes)
	nodes := make([]cluster.Node, len(names))
	for i, name := range names {
		nodes[i] = s.nodes[name].Node
		nodes[i].Free = nodes[i].Allocatable.Clone()
	}
	take := func(p simPod) {
		if i, ok := cluster.Find(nodes, p.node); ok {
			nodes[i].Free = nodes[i].Free.Sub(p.member.Requests)
		}
	}
	for _, p := range s.bound {
		take(p)
	}
	for _, p := range s.assumed {
		take(p)
	}
	view := core.View{Nodes: nodes, Epoch: s.epoch, Attributes: s.altered, Eligible: func(class string, node int) bool {
		model := selected(class)
		return !s.nodes[names[node]].cordoned && (model == "" || model == s.modelOf(names[node]))
	}}
	if s.tree == nil {
		s.tree = topology.Build([]topology.Level{{Name: "rack", Key: "rack"}}, nodes)
		s.index = placement.NewIndex(nodes, s.tree)
	}
	for i, n := range nodes { // a shell tells what has changed, and no more
		if free, ok := s.told[n.Name]; !ok || !slices.Equal(free, n.Free) {
			if s.index.Update(i, n); !ok {
				s.index.Reopen()
			}
			s.told[n.Name] = n.Free
		}
	}
	view.Tree, view.Index = s.tree, s.index
	view.Others = func() []core.Occupant { return s.others(nodes) }
	return view
}

// others are the pods on nodes that the core does not count there.
func (s *sim) others(nodes []cluster.Node) []core.Occupant {
	var list []core.Occupant
	for _, uid := range sorted(s.bound) {
		p := s.bound[uid]
		node, exists := cluster.Find(nodes, p.node)
		if _, counted := s.core.State(uid); counted || !exists {
			continue
		}
		list = append(list, core.Occupant{
			Pod: gang.Key{Namespace: "other", Name: uid}, UID: uid, Node: node, Requests: p.member.Requests, Since: p.member.Started,
			Claim: core.Claim{Priority: p.member.Priority, Queue: s.queueSeenOf(p)}, Leaving: p.deleting, Protected: p.firm,
		})
	}
	return list
}

// next is the pod that the queue hands out: the first by key, and sometimes
// another one, as keys of pods that came at different times may be.
func (s *sim) next() *queued {
	var list []*queued
	for _, uid := range sorted(s.pending) {
		if q := s.pending[uid]; q.place == active {
			list = append(list, q)
		}
	}
	if len(list) == 0 {
		return nil
	}
	if s.rand.IntN(8) == 0 {
		return list[s.rand.IntN(len(list))]
	}
	return slices.MinFunc(list, func(a, b *queued) int {
		if queue.Less(a.key, b.key) {
			return -1
		}
		return 1
	})
}

// pass lets time go by.
func (s *sim) pass(d time.Duration) {
	s.now = s.now.Add(d)
	s.complain(s.checker.Advance(s.now))
	s.deliverAll(s.now.Add(-15 * time.Second)) // no watch is later than that
	for _, uid := range sorted(s.pending) {
		q := s.pending[uid]
		switch {
		case q.place == waiting && !s.now.Before(q.until):
			q.place = rejected
		case q.place == backoff && !s.now.Before(q.until), q.place == unschedulable && !s.now.Before(q.until):
			s.enqueue(q)
		case q.place == binding && q.since.IsZero():
			q.since = s.now
		}
	}
	s.endBinds()
	s.endGraces()
	s.step(core.Tick{})
	s.keepHistory()
	for _, uid := range sorted(s.pending) { // members that missed an effect while they came to wait
		if q := s.pending[uid]; q.place == waiting {
			switch state, known := s.core.State(uid); {
			case !known || state == gang.Waiting || state == gang.Held:
				q.place = rejected
			case state == gang.Binding || state == gang.Bound:
				q.place = binding
			}
		}
	}
}

// endBinds lets no bind go on for longer than its time-out.
func (s *sim) endBinds() {
	for _, q := range s.inFlight() {
		for s.pending[q.pod.uid] == q && q.place == binding && !q.since.IsZero() && s.now.Sub(q.since) >= bindTimeout {
			s.proceed(q)
		}
	}
}

func (s *sim) inFlight() []*queued {
	var list []*queued
	for _, uid := range sorted(s.pending) {
		if q := s.pending[uid]; q.place == rejected || q.place == binding {
			list = append(list, q)
		}
	}
	return list
}

func brief(event core.Event) string {
	switch e := event.(type) {
	case core.Attempt:
		return fmt.Sprintf("{%s epoch %d}", e.UID, e.View.Epoch)
	}
	return fmt.Sprintf("%+v", event)
}
