package invariants

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/topology"
)

// Options say whom to watch and how long what may take.
type Options struct {
	// Schedulers are the names by which pods choose Lockstep.
	Schedulers []string
	// SchedulerWriter and ControllerWriter are the names under which the two programs write.
	SchedulerWriter, ControllerWriter string
	// Levels of the topology, the widest first.
	Levels []topology.Level
	// Vocabulary names the resources.
	Vocabulary *cluster.Vocabulary

	// Staleness is how old the news may be that a bind was decided by.
	Staleness time.Duration
	// Repair is how long a gang may be bound in part.
	Repair time.Duration
	// Eviction is how long the eviction of one gang may take from the first pod to the last.
	Eviction time.Duration
	// Explain is how long a gang may wait without a reason.
	Explain time.Duration
	// Settle is how long a status may differ from what it is about.
	Settle time.Duration
	// Notice is how long a gang may wait although it fits.
	Notice time.Duration
	// Starvation is how long a gang may wait while others that came later, and are no
	// more important, get places.
	Starvation time.Duration
	// Window is what writes are counted in, and Writes how many more than there are
	// reasons for one object may have in it.
	Window time.Duration
	Writes int
}

// defaulted fills in what is not said.
func (o Options) defaulted() Options {
	if len(o.Schedulers) == 0 {
		o.Schedulers = []string{"lockstep"}
	}
	o.SchedulerWriter = cmp.Or(o.SchedulerWriter, "lockstep-scheduler")
	o.ControllerWriter = cmp.Or(o.ControllerWriter, "lockstep-controller")
	if o.Vocabulary == nil {
		o.Vocabulary = cluster.NewVocabulary()
	}
	o.Staleness = cmp.Or(o.Staleness, 5*time.Second)
	o.Repair = cmp.Or(o.Repair, 6*time.Minute) // the heal time-out of 5 minutes, and the eviction
	o.Eviction = cmp.Or(o.Eviction, 30*time.Second)
	o.Explain = cmp.Or(o.Explain, 30*time.Second)
	o.Settle = cmp.Or(o.Settle, 10*time.Second)
	o.Notice = cmp.Or(o.Notice, 30*time.Second)
	o.Starvation = cmp.Or(o.Starvation, time.Hour)
	o.Window = cmp.Or(o.Window, time.Minute)
	o.Writes = cmp.Or(o.Writes, 10)
	return o
}

// Violation is one invariant that did not hold, with what proves it.
type Violation struct {
	Invariant string
	At        time.Time
	// Objects that are concerned, as KIND/NAMESPACE/NAME.
	Objects []string
	// Sentence says what is wrong, with numbers.
	Sentence string
	// Evidence are the events that prove it, in order.
	Evidence []Event
}

func (v Violation) String() string { return v.Invariant + ": " + v.Sentence }

// Checker judges a history event by event. It is not safe for concurrent use.
type Checker struct {
	opts      Options
	world     world
	suspected map[string]*suspicion
	next      time.Time // when the first suspicion is due; zero if none is
	now       time.Time
	seq       int
	synced    bool
	listing   bool // the state that was listed is being judged
	found     []Violation
}

// NewChecker returns a checker of a history that has not begun. A history without
// a Synced event is judged from its first event on that was not Listed.
func NewChecker(o Options) *Checker {
	return &Checker{opts: o.defaulted(), world: newWorld(), suspected: map[string]*suspicion{}}
}

// History is what happened, in order.
type History []Event

// Check judges a whole history, until a time after its last event.
func (h History) Check(o Options, until time.Time) []Violation {
	c := NewChecker(o)
	var all []Violation
	for _, e := range h {
		all = append(all, c.Feed(e)...)
	}
	return append(all, c.Advance(until)...)
}

// Feed takes in the next event and returns what it proves to be wrong.
func (c *Checker) Feed(e Event) []Violation {
	c.seq++
	e.Seq = c.seq
	if !e.Listed {
		c.advance(e.At)
	}
	switch {
	case e.Synced:
		c.advance(e.At)
		c.begin()
	case e.Listed:
		c.world.take(e, c.opts.Staleness)
	default:
		c.synced = true
		c.judge(e, c.world.take(e, c.opts.Staleness))
	}
	return c.report()
}

// Waiting lists the gangs whose floor exists and is not bound.
func (c *Checker) Waiting() []gang.Key {
	var keys []gang.Key
	for _, key := range sortedGangs(c.world.gangs) {
		g := c.world.gangs[key]
		if t := c.world.tally(g, c.member); g.waits(t) && t.exist+t.succeeded >= g.floor() {
			keys = append(keys, key)
		}
	}
	return keys
}

// Suspected lists what is wrong now and may still be mended in time, as the invariant
// and the object. What is only looked at when it is due, and is as it should be, is not.
func (c *Checker) Suspected() []string {
	var list []string
	for id, s := range c.suspected {
		if !s.told && (!s.once || s.wrong()) {
			list = append(list, id)
		}
	}
	slices.Sort(list)
	return list
}

// Heard reports whether there was word of a gang's PodGroup, and not of its end.
func (c *Checker) Heard(key gang.Key) bool {
	g := c.world.gangs[key]
	return g != nil && g.group != nil
}

// Size is how much there is now of what is watched.
type Size struct {
	Nodes  int
	Pods   int
	Gangs  int
	Jobs   int
	Events int // of the history so far
}

// Size counts what the checker knows of.
func (c *Checker) Size() Size {
	w := &c.world
	return Size{len(w.nodes), len(w.pods), len(w.gangs), len(w.jobs), c.seq}
}

// Advance lets time pass without an event.
func (c *Checker) Advance(now time.Time) []Violation {
	c.advance(now)
	return c.report()
}

func (c *Checker) advance(now time.Time) {
	if now.After(c.now) {
		c.now = now
	}
	c.fire()
}

func (c *Checker) report() []Violation {
	found := c.found
	c.found = nil
	return found
}

// begin judges the state that was listed.
func (c *Checker) begin() {
	c.synced, c.listing = true, true
	defer func() { c.listing = false }()
	for _, name := range sortedKeys(c.world.nodes) {
		c.judgeFull(c.world.nodes[name])
	}
	for _, key := range sortedGangs(c.world.gangs) {
		c.judgeGang(c.world.gangs[key])
	}
	for _, uid := range sortedKeys(c.world.jobs) {
		c.judgeJob(c.world.jobs[uid])
	}
	for _, name := range sortedKeys(c.world.quotas) {
		c.judgeQuota(c.world.quotas[name])
	}
}

// judge applies every rule that the event may concern.
func (c *Checker) judge(e Event, before *change) {
	c.judgeWriter(e)
	c.judgeWrites(e, before)
	switch {
	case e.Pod != nil:
		c.judgePod(e, before)
	case e.Group != nil:
		if before.group == nil && !e.Gone {
			c.judgeHeard(c.world.gangs[e.Group.key()])
		}
		c.judgeGang(c.world.gangs[e.Group.key()])
		c.judgeOwner(e)
	case e.Job != nil:
		c.judgeJobEvent(e, before)
	case e.Notice != nil:
		c.judgeNotice(e)
	case e.Lease != nil:
		c.judgeLease(e, before)
	case e.Quota != nil:
		c.judgeQuota(c.world.quotas[quotaKey(e.Quota)])
	case e.Verdict != nil:
		c.judgeVerdict(e)
	}
}

func (c *Checker) judgePod(e Event, before *change) {
	p := c.world.pods[e.Pod.UID]
	if p != nil && p.Node != "" && (before.pod == nil || before.pod.Node == "") && c.ours(p, e.By) {
		c.judgeBind(p)
		if before.pod != nil && before.pod.Deleting {
			c.broken("S3", []string{p.object()}, []Event{e}, "pod %s was bound to %s while it was being deleted", p, p.Node)
		}
	}
	if p != nil {
		c.judgeEviction(p, before, e)
		c.judgeTwins(p)
	}
	for _, g := range before.gangs {
		c.judgeGang(g)
	}
	if e.Gone && len(c.world.jobPods[e.Pod.Job]) == 0 {
		c.clear("S10", orphansOf(e.Pod.Job))
	}
	if j := c.world.jobs[e.Pod.Job]; j != nil {
		c.judgeJob(j)
		c.judgeNewPod(p, before, j)
	}
	c.judgeQuotasOf(e.Pod.Namespace)
}

// judgeBind applies the rules for the moment at which Lockstep binds a pod.
func (c *Checker) judgeBind(p *podState) {
	c.judgeCapacity(p)
	c.judgeTarget(p)
	c.judgeFence(p)
	if g := c.world.gangs[p.gang()]; p.Group == "" || !g.unheard() {
		c.judgeWish(p)
		return
	}
	c.expect("S9", bindOf(p), c.now, c.opts.Staleness, func(time.Time) (Violation, bool) {
		c.judgeWish(p)
		return Violation{}, false
	})
}

// judgeWish applies the rules for a bind that depend on what the PodGroup says. Watches
// are not in step, and a bind may be heard of before the PodGroup that it was decided by:
// then it is judged when that comes, or when it should have.
func (c *Checker) judgeWish(p *podState) {
	if !p.live() || c.world.pods[p.UID] != p {
		return // while the PodGroup was waited for
	}
	c.judgeTopology(p)
	c.judgeQueueAtBind(p)
}

// judgeHeard judges the binds that waited for a PodGroup, which is heard of now.
func (c *Checker) judgeHeard(g *gangState) {
	for _, uid := range sortedKeys(g.pods) {
		c.hasten("S9", bindOf(g.pods[uid]))
	}
}

func bindOf(p *podState) string { return "bind of " + p.object() + " " + p.UID }

// judgeGang applies the rules about the state of a gang.
func (c *Checker) judgeGang(g *gangState) {
	if g == nil {
		return
	}
	c.judgeAtomicity(g)
	c.judgeReason(g)
	c.judgeStatus(g)
	c.judgeOvertaking(g)
	if g.empty() {
		delete(c.world.gangs, g.key)
		c.world.goneGangs[g.key] = c.now
	}
}

// ours: Lockstep has bound, or is to bind, the pod.
func (c *Checker) ours(p *podState, by string) bool {
	return slices.Contains(c.opts.Schedulers, p.Scheduler) && (by == "" || strings.HasPrefix(by, c.opts.SchedulerWriter))
}

func (c *Checker) violate(v Violation) {
	v.At = cmp.Or(v.At, c.now)
	slices.SortStableFunc(v.Evidence, func(a, b Event) int { return a.Seq - b.Seq })
	v.Evidence = slices.CompactFunc(v.Evidence, func(a, b Event) bool { return a.Seq == b.Seq })
	c.found = append(c.found, v)
}

// broken reports a violation that needs no time to be one.
func (c *Checker) broken(invariant string, objects []string, evidence []Event, format string, args ...any) {
	c.violate(Violation{Invariant: invariant, Objects: objects, Evidence: evidence, Sentence: fmt.Sprintf(format, args...)})
}
