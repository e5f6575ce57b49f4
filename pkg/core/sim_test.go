package core_test

import (
	"flag"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
)

var (
	oneSeed  = flag.Uint64("seed", 0, "run TestSimulation with this seed alone, and print what happens")
	simSeeds = flag.Int("seeds", 0, "how many seeds TestSimulation runs; 0 means 10,000, or 2,000 with -short")
)

// TestSimulation drives cores through random faults: late watches, misses, failed,
// lost and doubtful binds, other schedulers, deletions, changes, crashes. It
// checks the invariants after every step, and at the end of each run, when the
// faults have stopped, that everything that can be placed is placed and that
// whatever is not says why.
func TestSimulation(t *testing.T) {
	if *oneSeed != 0 {
		s := newSim(*oneSeed)
		s.tracing = true
		if err := s.run(); err != nil {
			t.Fatalf("%s%v", strings.Join(s.lines, ""), err)
		}
		t.Log(strings.Join(s.lines, ""))
		return
	}
	n := *simSeeds
	switch {
	case n == 0 && testing.Short():
		n = 2000
	case n == 0:
		n = 10000
	}
	var total simStats
	for seed := uint64(1); seed <= uint64(n); seed++ {
		s := newSim(seed)
		if err := s.run(); err != nil {
			t.Fatalf("%v\nreplay: go test ./pkg/core -run TestSimulation -seed=%d", err, seed)
		}
		if seed%20 == 0 {
			again := newSim(seed)
			if err := again.run(); err != nil || again.history.Sum64() != s.history.Sum64() {
				t.Fatalf("seed %d has another history when it is run again (%v)", seed, err)
			}
		}
		total.add(s)
	}
	t.Logf("%d seeds: %+v", n, total)
	if total.Evictions == 0 || total.Pending == 0 || total.Healed == 0 {
		t.Errorf("the simulation does not reach what it is for: %+v", total)
	}
}

type simStats struct{ Effects, Attempts, Placed, Pending, Evictions, Healed int }

func (t *simStats) add(s *sim) {
	t.Effects += s.effects
	t.Attempts += s.attempts
	t.Evictions += s.evictions
	t.Healed += s.healed
	for _, j := range s.api.jobs {
		if status, ok := s.core.Status(j.key); ok && status.Phase == gang.Placed {
			t.Placed++
		} else {
			t.Pending++
		}
	}
}

type sim struct {
	scheduler
	api     api
	core    *core.Core
	rand    *rand.Rand
	now     time.Time
	names   *cluster.Vocabulary
	gpu     int
	reports map[gang.Key]core.Status
	// calm: nobody else binds and no node shrinks, so no node may ever be over-committed.
	calm     bool
	quiet    bool // the faults have stopped
	starting bool
	bad      map[string]bool // class and node that the filters never let through

	effects, evictions, healed int
	history                    hash.Hash64
	moved                      bool // something was released or evicted
	writes                     int  // effects that lead to writes on the API
	tracing                    bool
	lines                      []string
}

func newSim(seed uint64) *sim {
	s := &sim{
		rand: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), names: cluster.NewVocabulary(),
		scheduler: newScheduler(), reports: map[gang.Key]core.Status{}, bad: map[string]bool{}, history: fnv.New64a(),
		api: api{nodes: map[string]simNode{}, groups: map[gang.Key]gang.Spec{}, pods: map[string]simPod{}},
	}
	s.gpu = s.names.Index("nvidia.com/gpu")
	s.calm = s.rand.IntN(2) == 0
	s.core = s.newCore()
	return s
}

func (s *sim) newCore() *core.Core {
	return core.New(core.Options{HealTimeout: healTimeout, Vocabulary: s.names})
}

// violation ends a run.
type violation struct{ error }

func (s *sim) fail(format string, args ...any) { panic(violation{fmt.Errorf(format, args...)}) }

func (s *sim) run() (err error) {
	defer func() {
		if v := recover(); v != nil {
			if broken, ok := v.(violation); ok {
				err = broken.error
				return
			}
			panic(v)
		}
	}()
	for i := range 1 + s.rand.IntN(6) {
		s.putNode(s.newNode(fmt.Sprint("n", i)))
	}
	for i := range 1 + s.rand.IntN(5) {
		s.api.jobs = append(s.api.jobs, s.newJob(i))
	}
	if s.rand.IntN(3) == 0 {
		for range 3 {
			s.bad[fmt.Sprint(s.requests(int64(1+s.rand.IntN(2)), 1))+" "+fmt.Sprint("n", s.rand.IntN(6))] = true
		}
	}
	for range 100 + s.rand.IntN(500) {
		s.act()
	}
	s.settle()
	s.judge()
	s.idle()
	s.promptly()
	return nil
}

// fault is true once in n times, and never after the faults have stopped.
func (s *sim) fault(n int) bool { return !s.quiet && s.rand.IntN(n) == 0 }

// act does one thing that could happen next.
func (s *sim) act() {
	switch r := s.rand.IntN(100); {
	case r < 35:
		s.deliverAny()
	case r < 60:
		if q := s.next(); q != nil {
			s.cycle(q)
		}
	case r < 75:
		if list := s.inFlight(); len(list) > 0 {
			s.proceed(list[s.rand.IntN(len(list))])
		}
	case r < 82:
		s.readMail()
	case r < 87:
		s.pass([]time.Duration{time.Second, time.Second, 5 * time.Second, 20 * time.Second}[s.rand.IntN(4)])
	case r < 96:
		s.control(s.api.jobs[s.rand.IntN(len(s.api.jobs))])
	default:
		s.disturb()
	}
}

func (s *sim) deliverAny() bool {
	first := watch(s.rand.IntN(int(watches)))
	for i := range watches {
		if w := (first + i) % watches; len(s.api.pipes[w]) > 0 {
			s.deliver(w)
			return true
		}
	}
	return false
}

func (s *sim) readMail() bool {
	mail := sorted(s.mail)
	clear(s.mail)
	for _, uid := range mail {
		s.wake(uid)
	}
	return len(mail) > 0
}

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
		if s.attempts > 200000 || s.now.Year() > 2026 {
			s.fail("L3: no end of it after %d attempts", s.attempts)
		}
	}
	for range 40 { // gangs that the filters refuse over and over hold nodes for moments
		if s.drain(); !s.core.Holds() && len(s.assumed) == 0 {
			break
		}
		s.pass(time.Second)
	}
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
	writes, attempts := s.writes, s.attempts
	for range 24 {
		s.pass(5 * time.Second)
		s.drain()
	}
	if s.writes > writes && len(s.bad) == 0 { // which member a filter refuses first may vary
		s.fail("L3: %d writes while nothing happens", s.writes-writes)
	}
	if most := 8*len(s.api.jobs) + len(s.pending); len(s.bad) == 0 && s.attempts-attempts > most {
		s.fail("L3: %d attempts in two minutes while nothing happens", s.attempts-attempts)
	}
	for range 40 {
		if !s.core.Holds() && len(s.assumed) == 0 {
			break
		}
		s.pass(time.Second)
		s.drain()
	}
}

// promptly makes one change that may help somebody, and checks that it does soon,
// without the timer for lost wake-ups.
func (s *sim) promptly() {
	if len(s.bad) > 0 {
		return // each miss costs a back-off
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
	for range 4 {
		s.drain()
		s.pass(time.Second)
	}
	s.drain()
	s.judge()
}

// judge checks what has to hold when nothing goes on.
func (s *sim) judge() {
	if s.core.Holds() || len(s.assumed) > 0 {
		s.fail("I3: something is still held or assumed: %v", s.assumed)
	}
	fresh := s.newCore()
	for _, uid := range sorted(s.api.pods) {
		switch p := s.api.pods[uid]; {
		case p.finished:
			fresh.Step(s.now, core.MemberFinished{Key: p.key, UID: uid})
		case !p.alien:
			fresh.Step(s.now, core.MemberSeen{Key: p.key, Member: p.member, Node: p.node, Barred: p.barred})
		}
	}
	for _, spec := range s.api.groups {
		fresh.Step(s.now, core.GroupSeen{Spec: spec})
	}
	for _, j := range s.api.jobs {
		if !j.ended {
			s.judgeJob(j, fresh)
		}
	}
}

func (s *sim) judgeJob(j *job, fresh *core.Core) {
	status, ok := s.core.Status(j.key)
	again, _ := fresh.Status(j.key)
	if !ok || status.Phase != again.Phase || status.Counts != again.Counts {
		s.fail("E1: %s is %+v, and %+v for a fresh core", j.key, status, again)
	}
	if told := s.reports[j.key]; told.Phase != status.Phase || told.Reason != status.Reason {
		s.fail("V2: %s was reported as %+v and is %+v", j.key, told, status)
	}
	var waiting []simPod
	var fixed []int
	view := s.view()
	bound, finished := 0, 0
	for _, uid := range sorted(s.api.pods) {
		p := s.api.pods[uid]
		switch {
		case p.key != j.key || p.alien:
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
		s.fail("S6: %s counts %+v, and %d are bound, %d finished, %d wait", j.key, status.Counts, bound, finished, len(waiting))
	}
	missing := j.spec.Floor - bound - finished
	if missing > 0 && bound > 0 {
		s.fail("S1: %s has %d of %d bound", j.key, bound, j.spec.Floor)
	}
	if missing > 0 && status.Reason.Message == "" {
		s.fail("V1: %s waits and says nothing: %+v", j.key, status)
	}
	if len(waiting) == 0 {
		return
	}
	if s.fits(j, waiting, max(1, missing), fixed, view) {
		s.fail("L1: %s has %d waiting of whom %d fit: %+v", j.key, len(waiting), max(1, missing), status)
	}
}

// fits asks the planner whether the first members by rank have a place.
func (s *sim) fits(j *job, waiting []simPod, n int, fixed []int, view core.View) bool {
	level, known := view.Tree.LevelOf(j.spec.Required.Name)
	if j.spec.Required.Name != "" && !known || n > len(waiting) {
		return false
	}
	if j.spec.Slices.Size > 0 {
		return false // the rule is not written a second time here
	}
	sortByRank(waiting)
	req := placement.Request{Required: level, Fixed: fixed}
	for _, p := range waiting[:n] {
		class := p.member.Class
		req.Classes = append(req.Classes, placement.Class{Requests: p.member.Requests, Count: 1, Eligible: func(node int) bool {
			return view.Eligible(class, node) && !s.bad[class+" "+view.Nodes[node].Name]
		}})
	}
	plan, _ := placement.Solve(req, view.Nodes, view.Tree)
	return plan != nil
}

func sortByRank(pods []simPod) {
	sort.Slice(pods, func(a, b int) bool { return gang.Before(pods[a].member, pods[b].member) })
}

// record keeps an effect in the history.
func (s *sim) record(e core.Effect) {
	line := describe(e)
	s.trace("    " + line)
	_, _ = s.history.Write([]byte(line))
	s.effects++
	switch e := e.(type) {
	case core.Release, core.Evict:
		s.moved = true
		s.writes++
	case core.Report:
		s.writes++
		if e.Status.Phase == gang.Placed && s.reports[e.Key].Phase == gang.Healing {
			s.healed++
		}
	}
}

func (s *sim) trace(line string) { s.tracef("%s", line) }

func (s *sim) tracef(format string, args ...any) {
	if s.tracing {
		s.lines = append(s.lines, s.now.Format("05.0 ")+fmt.Sprintf(format, args...)+"\n")
	}
}
