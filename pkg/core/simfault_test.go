package core_test

import (
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
)

// The faults that are not changes of the cluster: what the apiserver answers, watches
// that break, and processes that die.

// answer is how the apiserver answers a bind that does not go well.
type answer struct {
	name    string
	commits bool // the bind takes place all the same
	doubt   bool // the binder cannot find out what has become of it
	final   bool // trying again does not help, so the binder does not
}

var answers = []answer{
	{name: "409 Conflict"},
	{name: "429 Too Many Requests"},
	{name: "500 Internal Server Error"},
	{name: "503 Service Unavailable"},
	{name: "504 Gateway Timeout", doubt: true},
	{name: "504 Gateway Timeout after the commit", commits: true, doubt: true},
	{name: "no answer", doubt: true},
	{name: "the answer was lost", commits: true, doubt: true},
	{name: "403 Forbidden: admission webhook denied the request", final: true},
}

// maxTries is how often a binder tries before it gives up.
const maxTries = 3

// answered is how a bind is answered now; ok is true where it goes well.
func (s *sim) answered(uid string) (a answer, ok bool) {
	if a, cursed := s.cursed[uid]; cursed && !s.quiet {
		return a, false
	}
	if !s.fault(5) {
		return answer{}, true
	}
	a = answers[s.rand.IntN(len(answers))]
	if s.fault(8) {
		s.cursed[uid] = a // from now on for ever
	}
	return a, false
}

// bindOnce is one request of a binder. It asks what has become of the pod where the
// answer, or an earlier one of the same binder, leaves that open.
func (s *sim) bindOnce(q *queued, node string) {
	uid := q.pod.uid
	a, ok := s.answered(uid)
	if ok {
		if err := s.commit(uid, node); err != nil {
			s.letGo(q, false, err.Error(), backoff)
			return
		}
		s.crashPoint()
		delete(s.pending, uid)
		return
	}
	s.tracef("    bind of %s: %s", uid, a.name)
	q.tries++
	if a.commits {
		_ = s.commit(uid, node)
		s.crashPoint()
	}
	asks := !a.doubt && (!a.final || q.doubt)
	q.doubt = q.doubt || a.doubt
	switch {
	case asks && s.api.pods[uid].node == node:
		delete(s.pending, uid)
	case !a.final && q.tries < maxTries: // it will be tried again
	default:
		s.letGo(q, a.doubt, a.name, backoff)
	}
}

// crash ends whatever the scheduler is doing.
type crash struct{}

// crashPoint is a place at which the process may die.
func (s *sim) crashPoint() {
	if !s.starting && s.fault(150) {
		panic(crash{})
	}
}

// survive does something; if the process dies of it, another one starts.
func (s *sim) survive(do func()) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case crash:
			s.crashes++
			s.restart()
		default:
			panic(v)
		}
	}()
	do()
}

// restart: the process is lost with all that was in flight, and a new one lists
// everything. A bind that was on its way has reached the apiserver or not.
func (s *sim) restart() {
	for _, uid := range sorted(s.pending) {
		if s.pending[uid].place == binding && s.rand.IntN(2) == 0 {
			_ = s.commit(uid, s.assumed[uid].node)
		}
	}
	s.trace("restart")
	epoch, life := s.epoch, s.life
	s.scheduler = newScheduler()
	s.epoch, s.life = epoch+1, life+1
	s.core = s.newCore()
	s.elect()
	for w := range s.watches() {
		s.relist(w)
	}
	s.starting = true
	for s.deliverAny() {
	}
	s.starting = false
	quiet := s.quiet
	s.quiet = true
	s.step(core.Elected{})
	s.quiet = quiet
	for _, j := range s.api.jobs { // what is written from now on is as things stand now
		if status, known := s.core.Status(j.key); known {
			s.tellStatus(j.key, status)
		}
	}
	for _, uid := range sorted(s.pending) {
		s.enqueue(s.pending[uid])
	}
}

// breakWatch loses what a watch was about to tell; it is taken up again with a list.
func (s *sim) breakWatch(w watch) {
	s.relists++
	s.tracef("watch %d breaks", w)
	s.relist(w)
}

// relist sends the scheduler what there is now, and the end of whatever it knows and
// is there no more. What happened in between it never learns.
func (s *sim) relist(w watch) {
	s.api.pipes[w] = nil
	switch w {
	case nodeWatch:
		for _, name := range sorted(s.nodes) {
			if _, exists := s.api.nodes[name]; !exists {
				s.send(w, func() { s.nodeGone(name) })
			}
		}
		for _, name := range sorted(s.api.nodes) {
			n := s.api.nodes[name]
			s.send(w, func() { s.nodeSeen(n) })
		}
	case groupWatch:
		s.relistGroups()
	case podWatch:
		for _, uid := range sorted(s.known) {
			if p, exists := s.api.pods[uid]; !exists || p.finished {
				last := s.known[uid]
				s.send(w, func() { s.podGone(last) })
			}
		}
		for _, uid := range sorted(s.api.pods) {
			if p := s.api.pods[uid]; !p.finished {
				s.send(w, func() { s.podSeen(p) })
			}
		}
	case finishedWatch:
		for _, uid := range sorted(s.finished) {
			if p := (simPod{uid: uid, key: s.finished[uid]}); !s.api.pods[uid].finished {
				s.send(w, func() { s.finishedForgotten(p) })
			}
		}
		for _, uid := range sorted(s.api.pods) {
			if p := s.api.pods[uid]; p.finished {
				s.send(w, func() { s.finishedSeen(p) })
			}
		}
	case queueWatch:
		s.relistQueues()
	case watches:
	}
}

func (s *sim) relistGroups() {
	known := map[gang.Key]bool{}
	for _, j := range s.api.jobs { // in an order that is the same every time
		if _, told := s.floors[j.key]; known[j.key] || !told && s.api.groups[j.key].UID == "" {
			continue
		}
		known[j.key] = true
		if spec, exists := s.api.groups[j.key]; exists {
			s.sendGroup(spec)
		} else {
			s.send(groupWatch, func() { s.groupGone(j.key) })
		}
	}
}

// carryOut does what the core asks for. The process may die before any part of it.
func (s *sim) carryOut(e core.Effect) {
	s.crashPoint()
	s.record(e)
	switch e := e.(type) {
	case core.Activate:
		for _, uid := range e.UIDs {
			if !s.fault(50) { // some are lost
				s.mail[uid] = true
			}
		}
	case core.Release:
		s.released(e.UIDs)
		s.move(e.UIDs, binding)
	case core.GiveBack:
		s.move(e.UIDs, rejected)
	case core.Evict:
		s.evictions++
		if e.Reason.Code == core.Preempted {
			s.preempted++
		}
		if e.Reason.Code == core.Reclaimed {
			s.reclaimed++
		}
		if e.Reason.Code == core.Balanced {
			s.balanced++
		}
		s.evictPods(e)
	case core.Report:
		s.reports[e.Key] = e.Status
		if !s.starting { // a standby writes nothing
			s.tellStatus(e.Key, e.Status)
		}
	}
}

// move changes the place of those that wait in Permit.
func (s *sim) move(uids []string, to place) {
	for _, uid := range uids {
		if q := s.pending[uid]; q != nil && q.place == waiting {
			q.place = to
		}
	}
}

// evictPods says why in the status of all, and deletes them.
func (s *sim) evictPods(e core.Evict) {
	each := func(do func(*simPod)) {
		for _, uid := range e.UIDs {
			if p, ok := s.api.pods[uid]; ok && !p.deleting {
				s.crashPoint()
				do(&p)
				s.writePod(p, s.identity())
			}
		}
	}
	each(func(p *simPod) { p.disrupted = e.Reason })
	each(func(p *simPod) { p.deleting = true })
}
