package core_test

import (
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/invariants"
	"lockstep.dev/lockstep/pkg/placement"
)

// What has to hold when the faults have stopped.

// settle lets everything happen that wants to happen, without faults, until
// nothing has for longer than any time-out.
func (s *sim) settle() {
	s.quiet = true
	s.trace("the faults have stopped")
	for still := time.Duration(0); still < 2*healTimeout; {
		s.drain()
		s.appease()
		s.drain()
		s.pass(2 * time.Second)
		still += 2 * time.Second
		if s.moved {
			still, s.moved = 0, false
		}
		if s.attempted > 4000 {
			s.fail("L3: no end of it after %d attempts", s.attempted)
		}
	}
	for range 40 { // gangs that the filters refuse over and over hold nodes for moments, or evict others in vain
		s.moved = false
		before := s.attempts
		if s.drain(); !s.moved && !s.core.Holds() && len(s.assumed) == 0 && s.attempts == before && !s.backsOff() {
			break
		}
		s.lately = s.lately || s.moved
		s.pass(time.Second)
	}
}

// backsOff reports whether somebody will be tried in a moment: what it says of why it waits
// is older than what has changed.
func (s *sim) backsOff() bool {
	for _, q := range s.pending {
		if q.place == backoff {
			return true
		}
	}
	return false
}

// drain lets everything happen that can happen in no time.
func (s *sim) drain() {
	for rounds := 0; ; rounds++ {
		if rounds > 5000 {
			s.fail("L3: the queue does not become empty")
		}
		something := s.readMail()
		for _, j := range s.api.jobs {
			something = s.control(j) || something
		}
		something = s.deliverAny() || something
		if q := s.next(); q != nil {
			s.cycle(q)
			something = true
		}
		for _, q := range s.inFlight() {
			s.proceed(q)
			something = true
		}
		if !something {
			return
		}
	}
}

// idle checks that a cluster in which nothing happens is left in peace: gangs that
// wait are tried now and then, and nothing is written.
func (s *sim) idle() {
	writes, attempts, evictions, promised := s.writes, s.attempts, s.evictions, s.promises()
	for range 24 {
		told := maps.Clone(s.reports)
		s.pass(5 * time.Second)
		s.drain()
		for key, status := range s.reports { // what is told in a moment is written once
			was := told[key]
			if strings.Contains(was.Reason.Message, rests) && strings.Contains(status.Reason.Message, rests) {
				continue // which member is refused first varies with the order in which they are tried
			}
			if status.Phase != was.Phase || status.Reason != was.Reason || !status.Reservation.Equal(was.Reservation) {
				s.writes++
			}
		}
	}
	if s.writes > writes && len(s.bad) == 0 && !promised && !s.promises() {
		s.assert("L3: %d writes while nothing happens", s.writes-writes)
	}
	// Whoever is evicted makes room, for which all are tried, and comes back. How often that is
	// done in vain is bounded by the rests between.
	most := (8+2*(s.evictions-evictions))*len(s.api.jobs) + len(s.pending)
	for _, j := range s.api.jobs { // who roams tries sixteen places for its first member when it has rested
		if status := s.reports[j.key]; strings.Contains(status.Reason.Message, rests) || strings.Contains(status.Reason.Message, "in vain") {
			most += 16 * status.Floor
		}
	}
	if len(s.bad) == 0 && s.attempts-attempts > most {
		s.assert("L3: %d attempts in two minutes while nothing happens", s.attempts-attempts)
	}
	for range 40 {
		if !s.core.Holds() && len(s.assumed) == 0 {
			break
		}
		s.pass(time.Second)
		s.drain()
	}
}

// promises: room is reserved for a gang, and when that is expected to be free is looked
// at again now and then; or others were evicted for one in vain, and will be again.
func (s *sim) promises() bool {
	for _, j := range s.api.jobs {
		if status, _ := s.core.Status(j.key); status.Reservation != nil || strings.Contains(status.Reason.Message, "in vain") {
			return true
		}
	}
	return false
}

// promptly makes one change that may help somebody, and checks that it does soon,
// without the timer for lost wake-ups.
func (s *sim) promptly() {
	if len(s.bad) > 0 {
		return // each miss costs a back-off
	}
	if len(s.api.jobs) == 0 {
		return
	}
	j := s.api.jobs[s.rand.IntN(len(s.api.jobs))]
	switch s.rand.IntN(5) {
	case 0:
		s.putNode(s.newNode("new"))
	case 1:
		j.ended = true
	case 2:
		j.spec.Floor, j.spec.Required = 1, gang.Level{}
	case 3:
		for _, name := range sorted(s.api.nodes) {
			n := s.api.nodes[name]
			n.cordoned = false
			s.putNode(n)
		}
	case 4:
		if uid, p := s.somePod(); p.node != "" && !p.alien {
			s.finishPod(uid)
		}
	}
	s.trace("one change")
	s.prompted = true
	evictions := s.evictions
	for range 4 {
		s.drain()
		s.pass(time.Second)
	}
	s.drain()
	if s.evictions == evictions { // else somebody is on the way out
		s.judge()
	}
}

// judge checks what has to hold when nothing goes on.
func (s *sim) judge() {
	if s.core.Holds() || len(s.assumed) > 0 {
		s.assert("I3: something is still held or assumed: %v", s.assumed)
	}
	fresh := s.freshCore()
	for _, j := range s.api.jobs {
		if !j.ended {
			s.judgeJob(j, fresh)
		}
	}
}

// rests is what a gang says that is left in peace for a while.
const rests = "it is tried again within"

func (s *sim) judgeJob(j *job, fresh *core.Core) {
	status, ok := s.core.Status(j.key)
	again, _ := fresh.Status(j.key)
	if !ok || status.Phase != again.Phase || status.Counts != again.Counts {
		s.assert("E1: %s is %+v, and %+v for a fresh core", j.key, status, again)
	}
	if told := s.reports[j.key]; told.Phase != status.Phase || told.Reason != status.Reason {
		s.assert("V2: %s was reported as %+v and is %+v", j.key, told, status)
	}
	var waiting []simPod
	var fixed []int
	view := s.view()
	bound, finished := 0, 0
	for _, uid := range sorted(s.api.pods) {
		p := s.api.pods[uid]
		switch {
		case p.key != j.key || p.alien || p.deleting && !p.finished:
		case p.finished:
			finished++
		case p.node != "":
			bound++
			if i, ok := cluster.Find(view.Nodes, p.node); ok {
				fixed = append(fixed, i)
			}
		default:
			waiting = append(waiting, p)
		}
	}
	if status.Counts.Bound != bound || status.Counts.Finished != finished || status.Counts.Waiting != len(waiting) {
		s.assert("S6: %s counts %+v, and %d are bound, %d finished, %d wait", j.key, status.Counts, bound, finished, len(waiting))
	}
	missing := j.spec.Floor - bound - finished
	if missing > 0 && bound > 0 {
		s.assert("S1: %s has %d of %d bound", j.key, bound, j.spec.Floor)
	}
	if missing > 0 && status.Reason.Message == "" {
		s.assert("V1: %s waits and says nothing: %+v", j.key, status)
	}
	if len(waiting) == 0 {
		return
	}
	if !s.judgeQuota(j, waiting, max(1, missing), status) {
		s.judgeCap(j, waiting, missing, fixed, view, status)
		return
	}
	if s.prompted && s.typed() && missing <= 0 {
		return // those above the floor are tried again when it has its place, if all of one type are too many
	}
	if blocked := "reserved for"; strings.Contains(status.Reason.Message, blocked) || s.promises() && status.Reservation == nil {
		return // others have been promised the room
	}
	if refusal, _ := s.core.Refusal(j.key); len(s.bad) > 0 && strings.Contains(refusal.Message, rests) {
		return // the filters have refused it over and over; it says when it is tried again
	}
	if s.fits(j, waiting, max(1, missing), fixed, view) {
		s.tell(invariants.Event{Verdict: &invariants.Verdict{Gang: j.key, Fits: true, Text: "nothing else goes on"}})
		s.complain(s.checker.Advance(s.now.Add(time.Minute)))
		s.assert("L1: %s has %d waiting of whom %d fit: %+v", j.key, len(waiting), max(1, missing), status)
	}
	if missing > 0 {
		s.judgeReclaim(j, waiting, missing, fixed, view, status)
	}
}

// fits asks the planner whether the first members by rank have a place.
func (s *sim) fits(j *job, waiting []simPod, n int, fixed []int, view core.View) bool {
	level, known := view.Tree.LevelOf(j.spec.Required.Name)
	if j.spec.Required.Name != "" && !known || n > len(waiting) {
		return false
	}
	if j.spec.Slices.Size > 0 || j.beyond != "" && len(s.bad) > 0 {
		return false // slices are judged elsewhere; one by one pods can stand in each other's way
	}
	moved := func(p simPod) bool { return !slices.Equal(p.member.Apart, j.apart) } // from a gang of other ways
	if slices.ContainsFunc(waiting, moved) {
		return false
	}
	sortByRank(waiting)
	req := placement.Request{Required: level, Fixed: fixed}
	for _, p := range waiting[:n] {
		class := p.member.Class
		req.Classes = append(req.Classes, placement.Class{Requests: p.member.Requests, Count: 1, Eligible: func(node int) bool {
			sibling := len(j.apart) > 0 && slices.Contains(fixed, node)
			return view.Eligible(class, node) && !s.bad[class+" "+view.Nodes[node].Name] && !sibling
		}, Apart: uint64(len(j.apart))})
	}
	plan, _ := placement.Solve(req, view.Nodes, view.Tree)
	return plan != nil
}

func sortByRank(pods []simPod) {
	sort.Slice(pods, func(a, b int) bool { return gang.Before(pods[a].member, pods[b].member) })
}
