package invariants

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Queue is a share of the cluster for the gangs of some namespaces.
type Queue struct {
	Name string
	// Parent is the queue that it is a part of; empty for none.
	Parent     string
	Namespaces []string
	Limits     []Limit
}

// Limit is about one resource of a queue, or one type of it.
type Limit struct {
	Resource int
	// Model is the type of the nodes that it is about; empty for all.
	Model string
	// Guaranteed is 0 where nothing is, Cap negative where there is none.
	Guaranteed, Cap int64
}

// guaranteed ends at the cap.
func (l Limit) guaranteed() int64 {
	if l.Cap >= 0 {
		return min(l.Guaranteed, l.Cap)
	}
	return l.Guaranteed
}

type queueState struct {
	Queue
	event Event
}

// elastic begins the names of queues that quotas stand for.
const elastic = "elasticquota/"

// asQueue is a quota as the share that it stands for.
func (q *Quota) asQueue() Queue {
	share := Queue{Name: elastic + quotaKey(q), Namespaces: []string{q.Namespace}}
	for i := range max(len(q.Min), len(q.Max)) {
		l := Limit{Resource: i, Guaranteed: q.Min.Get(i), Cap: -1}
		if i < len(q.Max) {
			l.Cap = q.Max[i]
		}
		share.Limits = append(share.Limits, l)
	}
	return share
}

func (w *world) takeQueue(q Queue, e Event) {
	w.requeued, w.parents = e.At, nil
	if e.Gone {
		delete(w.queues, q.Name)
		return
	}
	w.queues[q.Name] = &queueState{q, e}
}

// queueOf is the queue that a pod is charged to: the one that its gang names, else the
// first that its namespace is bound to; nil for none.
func (c *Checker) queueOf(p *podState) *queueState {
	if g := c.world.gangs[p.gang()]; p.Group != "" && g != nil {
		return c.queueOfGang(g)
	}
	return c.world.queueNamed("", p.Namespace)
}

func (c *Checker) queueOfGang(g *gangState) *queueState {
	named := ""
	if g.group != nil {
		named = g.group.Queue
	}
	return c.world.queueNamed(named, g.key.Namespace)
}

// queueNamed is the first queue of a namespace, or the one that is named; those that quotas
// stand for come last.
func (w *world) queueNamed(named, namespace string) (first *queueState) {
	for _, name := range sortedKeys(w.queues) {
		if q := w.queues[name]; slices.Contains(q.Namespaces, namespace) && (named == "" || named == name) {
			if !strings.HasPrefix(name, elastic) {
				return q
			}
			if first == nil {
				first = q
			}
		}
	}
	return first
}

// path is a queue and all above it.
func (w *world) path(q *queueState) []*queueState {
	if w.parents == nil {
		w.parents = parentsOf(w.queues)
	}
	var list []*queueState
	for q != nil {
		list = append(list, q)
		q = w.queues[w.parents[q.Name]]
	}
	return list
}

// parentsOf is the parent of every queue that has one. One that is not there is none, and
// where queues are parts of each other in a ring, the last that is come upon from the
// first by name on is a part of nothing.
func parentsOf(queues map[string]*queueState) map[string]string {
	parents, settled := map[string]string{}, map[string]bool{}
	for _, name := range sortedKeys(queues) {
		below := map[string]bool{}
		for ; !settled[name]; name = parents[name] {
			settled[name], below[name] = true, true
			parent := queues[name].Parent
			if queues[parent] == nil || below[parent] {
				break
			}
			parents[name] = parent
		}
	}
	return parents
}

// charge is what a pod counts as under a limit.
func (c *Checker) charge(p *podState, l Limit) int64 {
	if n := c.world.nodes[p.Node]; l.Model != "" && (n == nil || n.Model != l.Model) {
		return 0
	}
	return max(0, p.Requests.Get(l.Resource))
}

// held is what pods that count hold of a queue.
func (c *Checker) held(q *queueState, l Limit, counts func(*podState) bool) int64 {
	sum := int64(0)
	for _, pods := range []map[string]*podState{c.world.pods, c.world.once} {
		for _, p := range pods {
			if p.Node != "" && counts(p) && slices.Contains(c.world.path(c.queueOf(p)), q) {
				sum += c.charge(p, l)
			}
		}
	}
	return sum
}

// judgeQueueAtBind is S8 for queues: no member of a gang takes its queue, or one above,
// beyond its cap. Pods without a gang count and are not held back.
func (c *Checker) judgeQueueAtBind(p *podState) {
	g := c.world.gangs[p.gang()]
	if p.Group == "" || g == nil || c.now.Sub(c.world.requeued) <= c.opts.Staleness || c.recent(g.changed) {
		return
	}
	for _, q := range c.world.path(c.queueOfGang(g)) {
		for _, l := range q.Limits {
			if l.Cap < 0 || c.charge(p, l) == 0 {
				continue
			}
			held := c.held(q, l, func(o *podState) bool {
				return c.ours(o, "") && o.live() && c.world.pods[o.UID] == o && (o.Group != "" && c.ours(o, o.bind.By) || !c.recent(o.boundAt)) && !c.recent(o.resized) && !c.recent(o.joined) && !c.regrouped(o)
			})
			if held > l.Cap {
				c.beyondCap(p, g, q, fmt.Sprintf("queue %s holds %d of at most %d %s since pod %s was bound", q.Name, held, l.Cap, c.named(l), p))
				return
			}
		}
	}
}

// beyondCap tells that a bind took a queue beyond its cap, unless news of the queues or of
// the PodGroup comes within the staleness, by which it may have been decided: each comes by
// a watch of its own, and they are not in step.
func (c *Checker) beyondCap(p *podState, g *gangState, q *queueState, sentence string) {
	v := Violation{At: c.now, Objects: []string{p.object(), "queue/" + q.Name}, Evidence: []Event{q.event, p.bind}, Sentence: sentence}
	if g.group != nil {
		v.Evidence = append(v.Evidence, g.event)
	}
	requeued, changed := c.world.requeued, g.changed
	c.expect("S8", bindOf(p), c.now, c.opts.Staleness, func(time.Time) (Violation, bool) {
		return v, c.world.requeued.Equal(requeued) && g.changed.Equal(changed)
	})
}

// regrouped reports whether a pod's gang may be in another queue since a moment, or
// which one it is in may not have been heard of yet.
func (c *Checker) regrouped(p *podState) bool {
	g := c.world.gangs[p.gang()]
	return p.Group != "" && g != nil && (c.recent(g.changed) || g.unheard() && c.recent(p.boundAt))
}

// capped reports whether a gang's queue, or one above, may be in its way: what is held,
// by whomever, and as many of its largest members as its floor lacks are more than the
// cap; or the queue that it names is none of its namespace's.
func (c *Checker) capped(g *gangState) bool {
	if len(c.world.queues) > 0 && g.group != nil && g.group.Queue != "" && c.queueOfGang(g) == nil {
		return true
	}
	lacks, waiting := g.floor(), []*podState(nil)
	for _, p := range g.pods {
		switch {
		case p.Phase == Succeeded, p.live() && p.Node != "":
			lacks--
		case p.live():
			waiting = append(waiting, p)
		}
	}
	there := func(o *podState) bool { return !o.Ended() && c.world.pods[o.UID] == o }
	for _, q := range c.world.path(c.queueOfGang(g)) {
		for _, l := range q.Limits {
			if asked := largest(waiting, l.Resource, lacks); l.Cap >= 0 && asked > 0 && c.held(q, l, there)+asked > l.Cap {
				return true
			}
		}
	}
	return false
}

// largest is the sum of the n largest requests for a resource.
func largest(pods []*podState, resource, n int) int64 {
	var list []int64
	for _, p := range pods {
		list = append(list, max(0, p.Requests.Get(resource)))
	}
	slices.Sort(list)
	sum := int64(0)
	for _, amount := range list[len(list)-min(len(list), max(0, n)):] {
		sum += amount
	}
	return sum
}

func (c *Checker) named(l Limit) string {
	if l.Model != "" {
		return c.opts.Vocabulary.Name(l.Resource) + " of type " + l.Model
	}
	return c.opts.Vocabulary.Name(l.Resource)
}

// reclaims says what is wrong with taking back from a pod what a gang's queue is
// guaranteed; empty if nothing is. The gang's queue, or one above, lacks something that
// it is guaranteed and the pod holds, and the pod's queue holds more than it is guaranteed.
func (c *Checker) reclaims(p *podState, winner *gangState) string {
	if len(c.world.queues) == 0 || c.recent(c.world.requeued) {
		return ""
	}
	own, other := c.world.path(c.queueOfGang(winner)), c.queueOf(p)
	if other != nil && slices.Contains(own, other) {
		return fmt.Sprintf("whose own queue %s it is in", other.Name)
	}
	leave := []*podState{p} // with its gang
	if g := c.world.gangs[p.gang()]; p.Group != "" && g != nil {
		leave = slices.Collect(maps.Values(g.pods))
	}
	lacks := func(q *queueState, l Limit) bool {
		// What was bound in a moment may not have been when this was decided.
		live := func(o *podState) bool { return o.live() && c.world.pods[o.UID] == o && !c.recent(o.boundAt) }
		holds := slices.ContainsFunc(leave, func(o *podState) bool { return o.Node != "" && c.charge(o, l) > 0 })
		return holds && c.held(q, l, live) < l.guaranteed()
	}
	if !slices.ContainsFunc(own, func(q *queueState) bool {
		return slices.ContainsFunc(q.Limits, func(l Limit) bool { return lacks(q, l) })
	}) {
		return "whose queue lacks nothing that it is guaranteed"
	}
	if other != nil && !c.borrows(other) {
		return fmt.Sprintf("from queue %s, which holds no more than it is guaranteed", other.Name)
	}
	return ""
}

// balances says what is wrong with taking from a pod because its queue has borrowed more
// than is fair; empty if nothing is. The gang is in a queue, the pod in no queue or another,
// which holds more than it is guaranteed where anybody is.
func (c *Checker) balances(p *podState, winner *gangState) string {
	if len(c.world.queues) == 0 || c.recent(c.world.requeued) {
		return ""
	}
	own, other := c.world.path(c.queueOfGang(winner)), c.queueOf(p)
	guarantees := false
	for _, q := range c.world.queues {
		guarantees = guarantees || slices.ContainsFunc(q.Limits, func(l Limit) bool { return l.guaranteed() > 0 })
	}
	switch {
	case len(own) == 0:
		return "which is in no queue"
	case other != nil && slices.Contains(own, other):
		return fmt.Sprintf("whose own queue %s it is in", other.Name)
	case other != nil && guarantees && !c.borrows(other):
		return fmt.Sprintf("from queue %s, which holds no more than it is guaranteed", other.Name)
	}
	return ""
}

// borrows reports whether a queue holds, or held until what is being taken back was,
// more than it is guaranteed of something of which some queue is guaranteed a part.
func (c *Checker) borrows(q *queueState) bool {
	until := func(o *podState) bool {
		return !o.Ended() && (c.world.pods[o.UID] == o || c.now.Sub(o.event.At) <= c.opts.Eviction)
	}
	for _, name := range sortedKeys(c.world.queues) {
		for _, l := range c.world.queues[name].Limits {
			if l.guaranteed() <= 0 {
				continue
			}
			guaranteed := int64(0)
			for _, own := range q.Limits {
				if own.Resource == l.Resource && own.Model == l.Model {
					guaranteed = own.guaranteed()
				}
			}
			if c.held(q, l, until) > guaranteed {
				return true
			}
		}
	}
	return false
}
