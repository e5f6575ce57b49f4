package core_test

import (
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
)

// cycle is one scheduling cycle of one pod, from PreFilter to Permit.
func (s *sim) cycle(q *queued) {
	s.attempts++
	s.attempted++
	uid := q.pod.uid
	q.until = s.now.Add(flushAfter)
	node, pinned := s.core.Pinned(uid)
	var roam *core.Roam
	if _, exists := s.nodes[node]; !pinned || !exists {
		if node, roam = s.plan(uid); roam != nil {
			node = s.choose(q.pod, roam)
		}
		if node == "" {
			q.place = unschedulable
			return
		}
	}
	if why := s.filter(q.pod, node); why != "" && roam == nil {
		q.place, s.learnt[q.pod.key] = unschedulable, true
		s.step(core.Missed{UID: uid, Node: node, Why: why})
		return
	}
	p := q.pod
	p.node = node
	s.assumed[uid] = p
	q.place = cycling
	s.step(core.Reserved{UID: uid, Node: node})
	s.meanwhile()
	if s.fault(40) {
		s.letGo(q, false, "another plugin could not reserve", unschedulable)
		return
	}
	s.step(core.Permit{UID: uid})
	switch state, _ := s.core.State(uid); state {
	case gang.Binding:
		q.place = binding
	case gang.Reserved:
		s.meanwhile() // a release that comes now finds nobody who waits
		q.place, q.until = waiting, s.now.Add(permitTimeout)
		if q.gone {
			q.place = rejected
		}
	default:
		s.letGo(q, false, "the gang was given back meanwhile", unschedulable)
	}
}

// meanwhile is what other goroutines do during a scheduling cycle.
func (s *sim) meanwhile() {
	for s.rand.IntN(3) == 0 {
		s.deliverAny()
		if list := s.inFlight(); len(list) > 0 && s.rand.IntN(2) == 0 {
			s.proceed(list[s.rand.IntN(len(list))])
		}
	}
}

// choose is what the scheduler does with a pod that no plan pins: the first of the nodes
// that it may go to that its filters let through and that leaves room for what is
// promised, the one where the planner would put it before all others.
func (s *sim) choose(p simPod, roam *core.Roam) string {
	nodes := roam.Nodes
	if nodes == nil {
		nodes = sorted(s.nodes)
	}
	if slices.Contains(nodes, roam.Near) {
		nodes = append([]string{roam.Near}, nodes...)
	}
	for _, node := range nodes {
		promised := s.core.PromisedOn(s.now, node, p.uid, core.Claim{Priority: p.member.Priority, Duration: p.member.Duration})
		if s.refuses(p, node) == "" && p.member.Requests.Fits(s.freeOn(node).Sub(promised)) {
			return node
		}
	}
	s.learnt[p.key] = true
	s.step(core.Missed{UID: p.uid, Why: "none of the nodes is right"})
	return ""
}

// plan asks the core, and checks that what it newly holds was free.
func (s *sim) plan(uid string) (node string, roam *core.Roam) {
	view := s.view()
	before := map[string]cluster.Resources{}
	for _, n := range view.Nodes {
		before[n.Name] = s.core.HeldOn(n.Name, "").Clone()
	}
	answers := 0
	effects := s.step(core.Attempt{UID: uid, View: view})
	s.judgeVictims(s.pending[uid].pod.key, view, effects)
	for _, e := range effects {
		switch e := e.(type) {
		case core.Pin:
			node = e.Node
			answers++
		case core.Roam:
			roam = &e
			answers++
		case core.Refuse:
			answers++
			if e.Reason.Message == "" {
				s.assert("V1: %s is refused without a reason", uid)
			}
		}
	}
	if answers != 1 {
		s.assert("%d answers to an attempt of %s", answers, uid)
	}
	for _, n := range view.Nodes {
		held := s.core.HeldOn(n.Name, "")
		for i, amount := range held {
			if amount > before[n.Name].Get(i) && amount > n.Free.Get(i) {
				s.assert("S2: %s has %v free and %v is held on it", n.Name, n.Free, held)
			}
		}
	}
	return node, roam
}

// filter is what the scheduler's own filters say about a pinned node.
func (s *sim) filter(p simPod, node string) string {
	why := s.refuses(p, node)
	if why == "" && s.fault(30) {
		return "no luck"
	}
	return why
}

func (s *sim) refuses(p simPod, node string) string {
	switch {
	case s.nodes[node].cordoned:
		return "the node is unschedulable"
	case !p.member.Requests.Fits(s.freeOn(node)):
		return "insufficient resources"
	case s.bad[p.member.Class+" "+node]:
		return "volume node affinity conflict"
	case p.model != "" && p.model != s.modelOf(node):
		return "node selector"
	case len(p.member.Apart) > 0 && s.hasSibling(p, node):
		return "pod anti-affinity rules"
	}
	return ""
}

// freeOn is what no pod takes on a node.
func (s *sim) freeOn(node string) cluster.Resources {
	free := s.nodes[node].Allocatable.Clone()
	s.podsOn(node, func(p simPod) { free = free.Sub(p.member.Requests) })
	return free
}

func (s *sim) hasSibling(p simPod, node string) bool {
	found := false
	s.podsOn(node, func(other simPod) { found = found || other.key == p.key && other.uid != p.uid && !other.alien })
	return found
}

func (s *sim) podsOn(node string, do func(simPod)) {
	for _, of := range []map[string]simPod{s.bound, s.assumed} {
		for _, p := range of {
			if p.node == node {
				do(p)
			}
		}
	}
}

// letGo is Unreserve, forgetting the pod, and putting it back into the queue.
func (s *sim) letGo(q *queued, unknown bool, why string, to place) {
	uid := q.pod.uid
	s.step(core.Unreserved{UID: uid, Unknown: unknown, Why: why})
	delete(s.assumed, uid)
	s.epoch++
	s.hint()
	if q.gone {
		delete(s.pending, uid)
		return
	}
	q.place, q.until = to, s.now.Add(flushAfter)
	if q.activate || to == backoff {
		s.backOff(q)
	}
	q.activate, q.tries, q.doubt, q.since = false, 0, false, time.Time{}
}

// proceed ends one rejection or one bind.
func (s *sim) proceed(q *queued) {
	uid := q.pod.uid
	if q.place == rejected {
		s.letGo(q, false, "the rest of its gang found no place in time", unschedulable)
		return
	}
	node := s.assumed[uid].node
	if s.bound[uid].node != "" {
		node = s.bound[uid].node
	}
	if _, exists := s.nodes[node]; !exists {
		s.letGo(q, false, "node "+node+" was deleted", backoff)
		return
	}
	s.bindOnce(q, node)
}
