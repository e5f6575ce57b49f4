package invariants

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
)

// world is what the events have told so far.
type world struct {
	nodes     map[string]*nodeState
	goneNodes map[string]goneNode
	pods      map[string]*podState // by UID, those that exist
	once      map[string]*podState // by UID, those that were bound and are gone
	gangs     map[gang.Key]*gangState
	goneGangs map[gang.Key]time.Time
	jobs      map[string]*jobState            // by UID
	jobPods   map[string]map[string]*podState // by job UID, then pod UID
	quotas    map[string]*quotaState
	queues    map[string]*queueState // by name, with those that quotas stand for
	parents   map[string]string      // of queues; nil since one of them changed
	requeued  time.Time              // when some queue last changed
	lease     *leaseState
	noticed   map[string]time.Time // pods by UID: when Lockstep has told of their eviction
	notices   bool                 // some event has been seen
	writes    writeLog
}

type nodeState struct {
	Node
	event Event
	pods  map[string]*podState
	// before are the states that a bind may still have been decided by, each with
	// the time at which it ended.
	before   []pastNode
	barredAt time.Time // since when it is cordoned or not ready; zero while it is not
}

// goneNode is a node that was deleted, with what it was before: one that is created
// again under the name may not be known as that yet.
type goneNode struct {
	at     time.Time
	before []pastNode
}

type pastNode struct {
	Node
	until time.Time
}

type podState struct {
	Pod
	event   Event
	bind    Event // by which it came onto its node
	seen    time.Time
	boundAt time.Time
	goneAt  time.Time // where it is gone
	resized time.Time // when its requests last changed; zero if they never did
	joined  time.Time // when it last changed from one gang to another; zero if it never did
}

type gangState struct {
	key     gang.Key
	group   *PodGroup // nil while it does not exist
	event   Event     // of the group
	said    int       // number of the event by which its reason last changed
	pods    map[string]*podState
	changed time.Time // when the group's wish last changed; zero if it is still the first
	// pending is since when the gang waits; zero while it does not.
	pending   time.Time
	overtaken int
	placed    bool
	// lostAt is when it last lost a member, lostPriority the highest of those of that time.
	lostAt       time.Time
	lostPriority int32
	status       tally // what its status was last compared with
}

type jobState struct {
	Job
	event   Event
	endedAt time.Time
	resumed bool // it has been suspended: its restarts are counted anew
}

type quotaState struct {
	Quota
	event Event
}

type leaseState struct {
	Lease
	event   Event
	renewed time.Time
	proven  bool // it has been renewed since the history began
}

func newWorld() world {
	return world{
		nodes: map[string]*nodeState{}, goneNodes: map[string]goneNode{}, goneGangs: map[gang.Key]time.Time{}, pods: map[string]*podState{}, once: map[string]*podState{},
		gangs: map[gang.Key]*gangState{}, jobs: map[string]*jobState{}, jobPods: map[string]map[string]*podState{},
		quotas: map[string]*quotaState{}, queues: map[string]*queueState{}, noticed: map[string]time.Time{}, writes: newWriteLog(),
	}
}

// change is what an event has replaced.
type change struct {
	node  *Node
	pod   *Pod // nil for one that is new
	group *PodGroup
	job   *Job
	lease *leaseState
	gangs []*gangState // that the event concerns
}

// take brings an event into the world and returns what it has replaced.
func (w *world) take(e Event, staleness time.Duration) *change {
	before := &change{}
	switch {
	case e.Node != nil:
		w.takeNode(e, staleness, before)
	case e.Pod != nil:
		w.takePod(e, staleness, before)
	case e.Group != nil:
		w.takeGroup(e, before)
	case e.Job != nil:
		w.takeJob(e, before)
	case e.Quota != nil:
		if e.Gone {
			delete(w.quotas, quotaKey(e.Quota))
		} else {
			w.quotas[quotaKey(e.Quota)] = &quotaState{*e.Quota, e}
		}
		if old := w.queues[e.Quota.asQueue().Name]; e.Gone || old == nil || !slices.Equal(old.Limits, e.Quota.asQueue().Limits) {
			w.takeQueue(e.Quota.asQueue(), e) // its status changes with every pod
		}
	case e.Queue != nil:
		w.takeQueue(*e.Queue, e)
	case e.Lease != nil:
		w.takeLease(e, before)
	case e.Notice != nil:
		w.notices = true
	}
	return before
}

func (w *world) takeNode(e Event, staleness time.Duration, before *change) {
	n := w.nodes[e.Node.Name]
	if e.Gone {
		delete(w.nodes, e.Node.Name)
		gone := goneNode{at: e.At}
		if n != nil {
			gone.before = append(n.before, pastNode{n.Node, e.At})
		}
		w.goneNodes[e.Node.Name] = gone
		return
	}
	if n == nil {
		n = &nodeState{pods: map[string]*podState{}, before: w.goneNodes[e.Node.Name].before}
		for _, p := range w.pods {
			if p.Node == e.Node.Name {
				n.pods[p.UID] = p
			}
		}
		w.nodes[e.Node.Name] = n
	} else {
		last := n.Node
		before.node = &last
		n.before = slices.DeleteFunc(n.before, func(past pastNode) bool { return e.At.Sub(past.until) > staleness })
		if !sameNode(&n.Node, e.Node) {
			n.before = append(n.before, pastNode{n.Node, e.At})
		}
	}
	n.Node, n.event = *e.Node, e
	switch barred := n.Cordoned || n.NotReady; {
	case !barred:
		n.barredAt = time.Time{}
	case n.barredAt.IsZero():
		n.barredAt = e.At
	}
}

func (w *world) takePod(e Event, staleness time.Duration, before *change) {
	p := w.pods[e.Pod.UID]
	if p != nil {
		last := p.Pod
		before.pod = &last
		before.gangs = append(before.gangs, w.gangs[p.gang()])
		w.detach(p)
	}
	if e.Gone {
		delete(w.pods, e.Pod.UID)
		if p != nil && (p.Node != "" || p.Phase == Succeeded) {
			w.once[p.UID], p.goneAt = p, e.At
		}
		if p != nil {
			w.lost(p, e.At, staleness)
		}
		return
	}
	if p == nil {
		p = &podState{seen: e.At}
		w.pods[e.Pod.UID] = p
	}
	bound := p.Node == "" && e.Pod.Node != ""
	if before.pod != nil && !slices.Equal(p.Requests, e.Pod.Requests) {
		p.resized = e.At
	}
	if before.pod != nil && p.Group != e.Pod.Group {
		p.joined = e.At
	}
	p.Pod, p.event = *e.Pod, e
	if bound {
		p.bind, p.boundAt = e, e.At
		if e.Listed && !e.Pod.BoundAt.IsZero() {
			p.boundAt = e.Pod.BoundAt
		}
	}
	w.attach(p)
	if p.Deleting && before.pod != nil && !before.pod.Deleting {
		w.lost(p, e.At, staleness)
	}
	if g := w.gangs[p.gang()]; g != nil && !slices.Contains(before.gangs, g) {
		before.gangs = append(before.gangs, g)
	}
}

// lost takes in that a gang loses a member: it is being deleted, or gone.
func (w *world) lost(p *podState, at time.Time, staleness time.Duration) {
	if g := w.gangs[p.gang()]; p.Group != "" && g != nil && (p.Priority >= g.lostPriority || at.Sub(g.lostAt) > staleness) {
		g.lostAt, g.lostPriority = at, p.Priority
	}
}

// attach puts a pod where it is looked for.
func (w *world) attach(p *podState) {
	if n := w.nodes[p.Node]; n != nil {
		n.pods[p.UID] = p
	}
	if p.Group != "" {
		w.gang(p.gang()).pods[p.UID] = p
	}
	if p.Job != "" {
		if w.jobPods[p.Job] == nil {
			w.jobPods[p.Job] = map[string]*podState{}
		}
		w.jobPods[p.Job][p.UID] = p
	}
}

func (w *world) detach(p *podState) {
	if n := w.nodes[p.Node]; n != nil {
		delete(n.pods, p.UID)
	}
	if g := w.gangs[p.gang()]; g != nil {
		delete(g.pods, p.UID)
	}
	if delete(w.jobPods[p.Job], p.UID); len(w.jobPods[p.Job]) == 0 {
		delete(w.jobPods, p.Job)
	}
}

func (w *world) gang(key gang.Key) *gangState {
	g := w.gangs[key]
	if g == nil {
		g = &gangState{key: key, pods: map[string]*podState{}}
		w.gangs[key] = g
	}
	return g
}

func (w *world) takeGroup(e Event, before *change) {
	g := w.gang(e.Group.key())
	if before.group = g.group; e.Gone {
		g.group, g.event, g.changed = nil, e, e.At
		return
	}
	if last := before.group; last == nil && !g.changed.IsZero() ||
		last != nil && (last.UID != e.Group.UID || last.Floor != e.Group.Floor || last.Required != e.Group.Required ||
			last.Queue != e.Group.Queue || last.Revocable != e.Group.Revocable) {
		g.changed = e.At
	}
	if last := before.group; last == nil || last.Reason != e.Group.Reason || last.Message != e.Group.Message {
		g.said = e.Seq
	}
	g.group, g.event = e.Group, e
}

func (w *world) takeJob(e Event, before *change) {
	j := w.jobs[e.Job.UID]
	if j != nil {
		last := j.Job
		before.job = &last
	}
	if e.Gone {
		delete(w.jobs, e.Job.UID)
		return
	}
	if j == nil {
		j = &jobState{}
		w.jobs[e.Job.UID] = j
	}
	j.Job, j.event = *e.Job, e
	switch {
	case !j.Ended:
		j.endedAt = time.Time{}
	case j.endedAt.IsZero():
		j.endedAt = e.At
	}
	j.resumed = j.resumed || j.Suspended
}

// leader is who holds the scheduler's lease, as far as that is known.
func (w *world) leader() string {
	if w.lease == nil {
		return ""
	}
	return w.lease.Holder
}

func (w *world) takeLease(e Event, before *change) {
	before.lease = w.lease
	next := &leaseState{Lease: *e.Lease, event: e, renewed: e.At}
	if e.Gone {
		next.Lease = Lease{}
	}
	next.proven = !e.Listed && !e.Gone && w.lease != nil || w.lease != nil && w.lease.proven
	w.lease = next
}

// forget drops what nothing can be decided by any more.
func (w *world) forget(before time.Time) {
	maps.DeleteFunc(w.once, func(_ string, p *podState) bool { return p.event.At.Before(before) })
	maps.DeleteFunc(w.goneNodes, func(_ string, gone goneNode) bool { return gone.at.Before(before) })
	maps.DeleteFunc(w.goneGangs, func(_ gang.Key, at time.Time) bool { return at.Before(before) })
	maps.DeleteFunc(w.noticed, func(_ string, at time.Time) bool { return at.Before(before) })
}

// tally is what follows from a gang's pods.
type tally struct {
	// Exist are members of ours that have not ended and are to stay; Bound of them
	// have a node and Running run. Succeeded members count towards the floor.
	exist, bound, running, succeeded, failed, barred int
	foreign                                          int // pods with the label that another scheduler places
	priority                                         int32
}

func (w *world) tally(g *gangState, ours func(*podState) bool) tally {
	var t tally
	first := true
	for _, p := range g.pods {
		switch {
		case !ours(p):
			t.foreign++
		case p.Phase == Succeeded:
			t.succeeded++
		case p.Phase == Failed:
			t.failed++
		case p.Deleting:
		case p.Barred && p.Node == "":
			t.barred++
		default:
			t.exist++
			if p.Node != "" {
				t.bound++
			}
			if p.Phase == Running {
				t.running++
			}
			if first || p.Priority > t.priority {
				t.priority, first = p.Priority, false
			}
		}
	}
	return t
}

// empty: nothing is left of the gang.
func (g *gangState) empty() bool { return g.group == nil && len(g.pods) == 0 }

// unheard: there was no word of the PodGroup yet.
func (g *gangState) unheard() bool { return g.group == nil && g.changed.IsZero() }

func (g *gangState) floor() int {
	if g.group == nil {
		return 1
	}
	return max(1, g.group.Floor)
}

// evidence is the group's event and those by which its bound members came to be bound.
func (g *gangState) evidence() []Event {
	var list []Event
	if g.group != nil {
		list = append(list, g.event)
	}
	for _, uid := range sortedKeys(g.pods) {
		if p := g.pods[uid]; p.Node != "" {
			list = append(list, p.bind)
		} else {
			list = append(list, p.event)
		}
	}
	return list
}

func (g *gangState) object() string { return "podgroup/" + g.key.String() }

func (p *podState) object() string { return "pod/" + p.String() }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func sortedGangs(m map[gang.Key]*gangState) []gang.Key {
	return slices.SortedFunc(maps.Keys(m), func(a, b gang.Key) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// used is what pods that have not ended take on a node.
func (n *nodeState) used(counts func(*podState) bool) cluster.Resources {
	var used cluster.Resources
	for _, p := range n.pods {
		if !p.Ended() && counts(p) {
			used = used.Add(p.Requests)
		}
	}
	return used
}

// sameNode: nothing that matters is different.
func sameNode(a, b *Node) bool {
	return a.Cordoned == b.Cordoned && a.NotReady == b.NotReady && slices.Equal(a.Allocatable, b.Allocatable) && maps.Equal(a.Labels, b.Labels)
}
