package core_test

import (
	"flag"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/invariants"
)

var (
	oneSeed     = flag.Uint64("seed", 0, "run TestSimulation with this seed alone, and print what happens")
	onlySteps   = flag.String("steps", "", "with -seed: run only these steps, such as 0,4,7-9; a ! after a step takes its faults away")
	simSeeds    = flag.Int("seeds", 0, "how many seeds TestSimulation runs; 0 means 10,000, or 2,000 with -short")
	historyOnly = flag.Bool("history", false, "judge the runs by the history of the API alone, as a live cluster is judged")
	soakGangs   = flag.Int("soak", 0, "how many gangs TestSoak simulates; 0 skips it")
	soakFrom    = flag.Uint64("soak-from", 1_000_000, "the seed that TestSoak begins with")
)

// TestSimulation drives cores through random faults: late and broken watches, misses,
// binds that fail once or for ever, whose answer is lost or in doubt, other schedulers,
// deletions, changes, and crashes between any two effects. What happens on the
// simulated API is judged by package invariants, the core's own books after every
// step. At the end of each run, when the faults have stopped, everything that can be
// placed has to be placed, and whatever is not says why.
//
// A seed that fails is made shorter as long as it still fails, and the test prints the
// line that replays it.
func TestSimulation(t *testing.T) {
	if *oneSeed != 0 {
		replay(t, *oneSeed, *onlySteps)
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
	runSeeds(t, 1, func(seed uint64) bool { return seed <= uint64(n) }, func(s *sim) bool {
		total.add(s)
		return true
	})
	t.Logf("%d seeds: %+v", n, total)
	if total.Evictions == 0 || total.Pending == 0 || total.Healed == 0 || total.Crashes == 0 || total.Relists == 0 || total.Compared == 0 || total.Preempted == 0 || total.Drained == 0 || total.Reclaimed == 0 || total.Balanced == 0 || total.Capped == 0 {
		t.Errorf("the simulation does not reach what it is for: %+v", total)
	}
}

// onceFailed are seeds that a soak has found. What each means changes whenever the
// simulation draws other numbers; what it has found stays in a scenario, where the core
// was at fault.
var onceFailed = []uint64{
	1002121,  // room comes free beside the surplus of a gang that rests
	1002646,  // a floor is raised after the surplus was evicted
	1011506,  // the pod group of a revocable gang is deleted
	1012008,  // the scheduler dies half way through an eviction
	1009376,  // a pod group goes while its pods are evicted because of what it said
	1020120,  // nobody knows whether the last of a gang is bound, for ever
	1028366,  // a gang that roams has tried a place for its first member
	1024053,  // a pod was bound and has ended, and nobody saw it
	1013837,  // a node is uncordoned and taken in one
	2009544,  // others were evicted in vain
	2010533,  // slices leave a gang nowhere to go while it is placed pod by pod
	2003069,  // a bind takes long, and is in doubt in the end
	1019960,  // a node is deleted while members are being bound to it
	1225775,  // a surplus that was taken back comes back in part
	1128007,  // who waits in the victim's queue takes the room back
	1133252,  // a gang that roams has tried all places for its first member
	1389046,  // what the filters have refused is not forgiven while room is reserved
	1395344,  // a pod group is made anew while a bind is not answered
	1285080,  // a member of a revocable gang that roams has the rights of its gang
	1238876,  // others are evicted in vain again, when time has passed
	1180480,  // two reservations of one moment
	1171858,  // a member comes while the others are placed one by one
	1144387,  // who fills the room of one reservation takes that of another
	1147544,  // a gang that roams tries sixteen places when it has rested
	1117579,  // a node is deleted and created again with less
	1109079,  // a gang that roams rests ever longer
	1070453,  // a pod is deleted after a bind whose answer was lost
	1057048,  // a user deletes a member after the surplus was evicted
	7022863,  // queues: two go, of whom the first could come back once the second is gone
	5513887,  // queues: a member that waits is less important than the gang that it joins
	5378671,  // queues: a share is taken from who is guaranteed it, as its queue has borrowed something else
	5281037,  // room that was reserved is given back when a surplus waits
	1671,     // queues: pods that name no type of GPU have no cap of a type
	3203,     // queues: a gang that was refused for its cap tells old numbers
	45047,    // queues: who borrows and is more important, and who is guaranteed it, evict each other in turn
	215971,   // queues: the same, where only the queue above is guaranteed it
	63491,    // queues: all of a surplus goes where one member is enough
	18007,    // queues: a bind is in doubt when the gang's queue goes
	4050450,  // a gang is bound in the moment in which a part of it was evicted, and loses members
	521427,   // queues: others are to go for members that keep apart
	538011,   // queues: a rack is required while a bind is in doubt
	2026081,  // another gang takes the room of one that is placed one by one
	2044015,  // queues: a gang and the surplus of another go together, and the gang takes the room back
	2139478,  // a node changes while the only place for the first member is tried
	2265083,  // queues: who is within a part of a queue that is not evicts others for ever
	2237791,  // queues: the same as the next, of a gang that is bound in part
	2240639,  // queues: somebody goes because of what is planned for his queue, which comes to nothing
	587,      // queues: who asks whose shares may be taken back changes what they hold
	7887,     // queues: two gangs that name no type of GPU take shares of one from each other in turn
	9009443,  // queues: a revocable gang takes a share, and is revoked in turn
	2209288,  // a level that no node has is required while a bind is in doubt
	7482549,  // a member is given back while others are evicted for it
	10177895, // two of a queue go, one by importance and one by share, and one of them takes it back
	10257791, // others are evicted for a gang in the moment in which nothing more was to happen
	10332827, // reserved room was opened in the moment in which nothing more was to happen
	11025855, // more than the floor has to go together, and is more than the queue may hold of the only type
	11057144, // a gang that roams has tried a place for its first member long before there is room
	12126676, // the only place for the first member was tried before others were evicted
	13013835, // two within their guarantees, but for their surplus, are taken for overdrawn in turn
	13050159, // room below a cap is kept for a gang whose victims are leaving
	14007555, // what is guaranteed ends at a cap of nothing
	19041015, // a node was refused to a gang, and where it would fit beside that is kept for another
	20016655, // a gang is told again and again that another is tried
	28090795, // another scheduler binds a gang's pod within a queue, unseen as yet
	27031755, // a gang gets a node a second before the judges look
	25057347, // a cap is lowered while it is not known whether a member was bound
	31801026, // the member for whose priority others go is being deleted in that moment
}

func TestSeedsThatFailed(t *testing.T) {
	for _, seed := range onceFailed {
		if _, err := runSeed(seed); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// TestSoak runs seeds until a number of gangs has been simulated.
func TestSoak(t *testing.T) {
	if *soakGangs == 0 {
		t.Skip("takes minutes; enable it with -soak=1000000, or make soak")
	}
	var total simStats
	begin, shown := time.Now(), 0
	runSeeds(t, *soakFrom, func(uint64) bool { return true }, func(s *sim) bool {
		total.add(s)
		if tenth := total.Gangs * 10 / *soakGangs; tenth > shown {
			shown = tenth
			fmt.Printf("%d gangs on %d seeds, %.0f gangs/s\n", total.Gangs, total.Seeds, float64(total.Gangs)/time.Since(begin).Seconds())
		}
		return total.Gangs < *soakGangs
	})
	t.Logf("%+v in %s", total, time.Since(begin).Round(time.Second))
}

type simStats struct {
	Seeds, Gangs, Events, Effects, Attempts, Placed, Pending, Evictions, Healed, Crashes, Relists, Compared, Preempted, Reclaimed, Balanced, Drained, Capped int
}

func (t *simStats) add(s *sim) {
	t.Seeds++
	t.Gangs += s.gangs
	t.Events += s.fed
	t.Effects += s.effects
	t.Attempts += s.attempted
	t.Evictions += s.evictions
	t.Healed += s.healed
	t.Crashes += s.crashes
	t.Relists += s.relists
	t.Compared += s.compared
	t.Preempted += s.preempted
	t.Drained += s.drained
	t.Reclaimed += s.reclaimed
	t.Balanced += s.balanced
	t.Capped += s.capped
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
	checker *invariants.Checker
	// calm: nobody else binds and no node shrinks, so no node may ever be over-committed.
	calm     bool
	reserves bool          // room is drained for gangs that have waited for long
	prompted bool          // a change has just been made
	lately   bool          // somebody got a node, or went, in the last seconds before the judges look
	divided  bool          // there are queues
	balances time.Duration // how long a gang waits before shares are taken back for it; 0 for ever
	lots     *rand.Rand    // what is drawn for those
	quiet    bool          // the faults have stopped, or this step has none
	starting bool
	bad      map[string]bool   // class and node that the filters never let through
	cursed   map[string]answer // pods whose bind is answered so for ever

	gangs, fed, effects, attempted, evictions, healed, crashes, relists, compared, preempted, reclaimed, balanced, drained, capped int

	history hash.Hash64
	moved   bool // something was released or evicted
	writes  int  // binds and evictions
	tracing bool
	lines   []string
}

func newSim(seed uint64) *sim {
	s := &sim{
		rand: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), names: cluster.NewVocabulary(),
		scheduler: newScheduler(), reports: map[gang.Key]core.Status{}, bad: map[string]bool{}, cursed: map[string]answer{},
		history: fnv.New64a(),
		api:     api{nodes: map[string]simNode{}, groups: map[gang.Key]gang.Spec{}, pods: map[string]simPod{}, told: map[gang.Key]core.Status{}, queues: map[string]simQueue{}},
	}
	s.gpu = s.names.Index("nvidia.com/gpu")
	s.calm = s.rand.IntN(2) == 0
	s.reserves = s.rand.IntN(2) == 0
	s.divided, s.balances = hasQueues(seed), reclaimAfter(seed)
	s.core = s.newCore()
	s.checker = s.newChecker()
	s.elect()
	return s
}

func (s *sim) newCore() *core.Core {
	options := core.Options{HealTimeout: healTimeout, ReclaimAfter: s.balances, Vocabulary: s.names}
	if s.reserves {
		options.ReserveAfter = time.Minute
	}
	return core.New(options)
}

// violation ends a run.
type violation struct{ error }

// assert ends a run for something that only a simulation can see.
func (s *sim) assert(format string, args ...any) {
	if !*historyOnly {
		s.fail(format, args...)
	}
}

func (s *sim) fail(format string, args ...any) { panic(violation{fmt.Errorf(format, args...)}) }

// run does the steps of a script, and then looks at what has become of it all.
func (s *sim) run(script script) (err error) {
	defer func() {
		if v := recover(); v != nil {
			broken, ok := v.(violation)
			if !ok {
				err = fmt.Errorf("panic: %v", v) // a defect of the core, shrunk like any other
				return
			}
			err = broken.error
		}
	}()
	for _, step := range script.steps {
		s.rand, s.lots, s.quiet = script.rand(step.number), script.lots(step.number), step.faultless
		s.tracef("-- step %d", step.number)
		s.survive(func() { step.do(s) })
	}
	s.rand, s.lots = script.rand(1<<40), script.lots(1<<40)
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
	if s.divided && s.lots.IntN(40) == 0 {
		s.disturbQueues()
		return
	}
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
	case len(s.api.jobs) == 0:
	case r < 95:
		s.control(s.api.jobs[s.rand.IntN(len(s.api.jobs))])
	case r < 96:
		s.compare()
	default:
		s.disturb()
	}
}

func (s *sim) deliverAny() bool {
	all := s.watches()
	first := watch(s.rand.IntN(int(all)))
	for i := range all {
		if w := (first + i) % all; len(s.api.pipes[w]) > 0 {
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

// record keeps an effect in the history.
func (s *sim) record(e core.Effect) {
	line := describe(e)
	s.trace("    " + line)
	_, _ = s.history.Write([]byte(line))
	s.effects++
	switch e := e.(type) {
	case core.Release: // at rest too: of a surplus, whoever is tried first may stand in the others' way
		s.moved = true
	case core.Evict:
		s.moved = true
		s.writes++
	case core.Report:
		if e.Status.Phase == gang.Placed && s.reports[e.Key].Phase == gang.Healing {
			s.healed++
		}
		if r := e.Status.Reservation; r != nil && r.Kind == core.Draining && !r.Equal(s.reports[e.Key].Reservation) {
			s.drained++
		}
	}
}

func (s *sim) trace(line string) { s.tracef("%s", line) }

func (s *sim) tracef(format string, args ...any) {
	if s.tracing {
		s.lines = append(s.lines, s.now.Format("04:05.0 ")+fmt.Sprintf(format, args...)+"\n")
	}
}

// replay runs one seed, or some of its steps, and prints what happens.
func replay(t *testing.T, seed uint64, only string) {
	script, err := newScript(seed).only(only)
	if err != nil {
		t.Fatal(err)
	}
	s := newSim(seed)
	s.tracing = true
	if err := s.run(script); err != nil {
		t.Fatalf("%s%v", strings.Join(s.lines, ""), err)
	}
	t.Log(strings.Join(s.lines, ""))
}
