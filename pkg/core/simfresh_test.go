package core_test

import (
	"fmt"
	"slices"
	"strings"

	"lockstep.dev/lockstep/pkg/core"
)

// E1: a core that is built from the API alone decides as the one that has been running.

// freshCore knows what the API knows, and nothing else.
func (s *sim) freshCore() *core.Core {
	fresh, h := s.newCore(), s.read(s.api.queues)
	if s.divided {
		fresh.Step(s.now, core.HistorySeen{Late: s.core.Late()})
		fresh.Step(s.now, h.seen())
	}
	for _, uid := range sorted(s.api.pods) {
		switch p := s.api.pods[uid]; {
		case p.finished:
			fresh.Step(s.now, core.MemberFinished{Key: p.key, UID: uid})
		case p.alien:
		case p.deleting:
			fresh.Step(s.now, core.MemberGone{Key: p.key, UID: uid})
		default:
			fresh.Step(s.now, core.MemberSeen{Key: p.key, Member: p.member, Node: p.node, Barred: p.barred, Evicted: p.disrupted})
		}
	}
	for _, spec := range s.api.groups {
		fresh.Step(s.now, core.GroupSeen{Spec: h.charged(spec), Reservation: s.api.told[spec.Key].Reservation})
	}
	return fresh
}

// compare asks the running core and a fresh one the same question. The running one must
// have heard of everything, and nothing must be on its way, because that is what a
// process that dies takes along.
func (s *sim) compare() {
	for s.deliverAny() {
	}
	for _, q := range s.inFlight() {
		s.proceed(q)
	}
	for s.deliverAny() {
	}
	if s.core.Holds() || len(s.assumed) > 0 || len(s.inFlight()) > 0 {
		return
	}
	s.compared++
	fresh := s.freshCore()
	for _, uid := range sorted(s.pending) {
		was, _ := s.core.QueueKey(uid)
		is, _ := fresh.QueueKey(uid)
		is.Turn = was.Turn                   // a core that has seen no cluster knows of no shares
		gated := s.core.Gate(uid).Code != "" // then nobody asks for its key
		if was != is && !gated || s.core.Gate(uid) != fresh.Gate(uid) || s.core.Leads(uid) != fresh.Leads(uid) {
			s.assert("E1: %s has key %+v, gate %v, leads %t, and for a fresh core %+v, %v, %t",
				uid, was, s.core.Gate(uid), s.core.Leads(uid), is, fresh.Gate(uid), fresh.Leads(uid))
		}
	}
	q := s.next()
	if q == nil || s.learnt[q.pod.key] {
		return // the filters' refusals are known to the running core alone
	}
	if standing, _ := s.core.Status(q.pod.key); strings.Contains(standing.Reason.Message, rests) {
		return // it rests, which a fresh core does not know: it tries at once
	}
	s.epoch++ // the running core may have answered a moment ago
	view := s.view()
	view.Index = nil
	uid := q.pod.uid
	effects := s.step(core.Attempt{UID: uid, View: view})
	running := decisions(effects)
	if again := decisions(fresh.Step(s.now, core.Attempt{UID: uid, View: view})); running != again && !spares(effects) {
		s.assert("E1: an attempt of %s gives\n%s\nand for a fresh core\n%s", uid, running, again)
	}
	if _, pinned := s.core.Pinned(uid); !pinned && !strings.Contains(running, "roam") {
		q.place, q.until = unschedulable, s.now.Add(flushAfter)
		return
	}
	s.cycle(q)
}

// spares: the gang has come to rest, or others were evicted for it in vain, which a fresh
// core does not know.
func spares(effects []core.Effect) bool {
	return slices.ContainsFunc(effects, func(e core.Effect) bool {
		refuse, ok := e.(core.Refuse)
		return ok && (strings.Contains(refuse.Reason.Message, "in vain") || strings.Contains(refuse.Reason.Message, rests))
	})
}

// decisions are the effects that say where members go. The reason of a refusal that
// still stands may be older than that of a new one, while things have become worse;
// and in which places a member that roams was tried the running core alone knows.
func decisions(effects []core.Effect) string {
	text := ""
	for _, e := range effects {
		switch e := e.(type) {
		case core.Roam:
			text += fmt.Sprintln("let", e.UID, "roam")
		case core.Pin, core.Evict, core.GiveBack:
			text += fmt.Sprintln(describe(e))
		case core.Refuse:
			text += fmt.Sprintln("refuse", e.UID)
		}
	}
	return text
}
