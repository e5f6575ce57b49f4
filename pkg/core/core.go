package core

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/queue"
)

// Options of a core.
type Options struct {
	// HealTimeout is how long a gang of which only a part is bound may stay so
	// before it is evicted whole.
	HealTimeout time.Duration
	// WakeAfter is how long a gang may go untried; a wake-up that got lost costs
	// no more than this. It is also how long a gang rests for which every node was
	// refused; that doubles each time, up to MaxRest.
	WakeAfter time.Duration
	// ReserveAfter is how long a gang waits before room is drained for it; zero for ever.
	ReserveAfter time.Duration
	// ReclaimAfter is how long a gang waits before those are evicted for it who have
	// borrowed more than their queue's fair share; zero for ever.
	ReclaimAfter time.Duration
	// NoPreemption leaves everybody who runs alone.
	NoPreemption bool
	MaxRest      time.Duration
	// PlanAll has gangs planned whose constraints the planner cannot judge, instead of
	// letting the scheduler's own filters choose nodes for them. It is for shells that
	// have no such filters.
	PlanAll bool
	// Vocabulary names the resources in messages.
	Vocabulary *cluster.Vocabulary
}

// The values of the zero Options.
const (
	DefaultHealTimeout = 5 * time.Minute
	DefaultWakeAfter   = 20 * time.Second
	DefaultMaxRest     = 2 * time.Minute
)

// Core is the state of all gangs. It is not safe for concurrent use.
type Core struct {
	opts    Options
	groups  map[gang.Key]*group
	order   []*group           // the same by key
	members map[string]*member // by UID
	held    ledger
	// holders are the gangs that have a reservation, by key.
	holders      []*group
	reservations uint64 // the highest Order so far
	shares       shares
	idle         idleness
	attributes   uint64 // of the view that was looked at last
	acting       bool   // the shell carries out what the core decides
	roaming      *group // the one gang that the scheduler's own filters are choosing nodes for
	// ahead is room for those whom its floor still lacks, as planned at its last attempt.
	ahead ledger
	// epoch changes whenever the ledger gives capacity back.
	epoch   uint64
	effects []Effect
	touched map[gang.Key]*group
}

// New returns a core that knows nothing yet.
func New(opts Options) *Core {
	if opts.HealTimeout == 0 {
		opts.HealTimeout = DefaultHealTimeout
	}
	if opts.WakeAfter == 0 {
		opts.WakeAfter = DefaultWakeAfter
	}
	if opts.MaxRest == 0 {
		opts.MaxRest = DefaultMaxRest
	}
	if opts.Vocabulary == nil {
		opts.Vocabulary = cluster.NewVocabulary()
	}
	return &Core{
		opts: opts, groups: map[gang.Key]*group{}, members: map[string]*member{},
		held: ledger{}, touched: map[gang.Key]*group{},
	}
}

// Step takes in one event and returns what has to be done about it, in order.
// Reports come last.
func (c *Core) Step(now time.Time, event Event) []Effect {
	c.effects = nil
	switch e := event.(type) {
	case GroupSeen:
		c.groupSeen(e)
	case GroupGone:
		c.groupGone(e)
	case MemberSeen:
		c.memberSeen(e)
	case OutsiderSeen:
		c.outsiderSeen(e)
	case MemberGone:
		c.memberGone(now, e.UID)
		c.outsiderGone(e)
	case MemberFinished:
		c.memberFinished(e)
	case FinishedForgotten:
		c.finishedForgotten(e)
	case Attempt:
		c.attempt(now, e)
	case Missed:
		c.missed(now, e)
	case Stopped:
		c.stopped(e)
	case Reserved:
		c.reserved(e)
	case Permit:
		c.permit(e.UID)
	case Unreserved:
		c.unreserved(now, e)
	case NodeGone:
		c.nodeGone(e.Name)
		c.reviewReserved(e.Name)
	case NodeShrunk:
		c.reviewReserved(e.Name)
	case QueuesSeen:
		c.queuesSeen(e)
	case BudgetsRelaxed:
		c.budgetsRelaxed()
	case ClusterSeen:
		c.look(e.View)
		c.weigh(now, &e.View)
	case HistorySeen:
		if !c.acting {
			c.shares.late = e.Late
		}
	case Elected:
		c.elected(now)
	case Tick:
		c.tick(now)
	}
	c.settle(now)
	effects := c.effects
	c.effects = nil
	return effects
}

func (c *Core) emit(e Effect) { c.effects = append(c.effects, e) }

// group returns a gang's record, made on first sight.
func (c *Core) group(key gang.Key) *group {
	g := c.groups[key]
	if g == nil {
		g = &group{key: key, id: key.String(), finished: map[string]bool{}}
		c.groups[key] = g
		place, _ := slices.BinarySearchFunc(c.order, g, byKey)
		c.order = slices.Insert(c.order, place, g)
	}
	c.touched[key] = g
	return g
}

// settle brings what follows from the counts in line with them: a gang that holds
// nodes and is not whole gives them back, the time since when it has been healing
// is noted, and its standing is reported when that has changed. Gangs of which
// nothing is left are forgotten.
func (c *Core) settle(now time.Time) {
	for _, g := range sorted(c.touched) {
		if !g.known && len(g.members)+len(g.finished)+len(g.outsiders) == 0 {
			delete(c.groups, g.key)
			place, _ := slices.BinarySearchFunc(c.order, g, byKey)
			c.order = slices.Delete(c.order, place, place+1)
			c.stopRoaming(g)
			continue
		}
		if g.reservation != nil && !c.keeps(now, g, &g.reservation.Reservation) {
			unused := g.replacing() && (!g.known || g.counts().Finished > 0 || g.lacks())
			if c.unreserve(g); unused {
				c.wakeRefused()
			}
		}
		if reason := g.untenable(); reason.Code != "" {
			c.giveBack(g, reason)
			c.activateLeader(g)
		}
		if g.roaming && g.counts().Reserved+g.sums().roams == 0 {
			c.stopRoaming(g)
		}
		g.hurries(now, c.opts.WakeAfter)
		switch g.phase() {
		case gang.Healing:
			if g.healingSince.IsZero() {
				g.healingSince = now
			}
		case gang.Releasing: // binds that fail again and again do not start the time anew
		default:
			g.healingSince = time.Time{}
		}
		c.report(g)
	}
	clear(c.touched)
}

// untenable says why the gang may not keep the nodes that are held or reserved
// for it; the zero Reason when it may, or has none.
func (g *group) untenable() Reason {
	counts := g.counts()
	if counts.Held+counts.Reserved == 0 {
		return Reason{}
	}
	if reason := g.gate(); reason.Code != "" {
		return reason
	}
	if counts.Placed() < g.floor() && !g.replanning && !g.roaming {
		return Reason{MemberLost, "the gang lost members before it was complete"}
	}
	return Reason{}
}

// hurries takes in how long a gang has been on its way from its plan to its place.
func (g *group) hurries(now time.Time, slow time.Duration) {
	if phase := g.phase(); phase != gang.Planned && phase != gang.Releasing {
		g.between, g.slow = time.Time{}, false
		return
	}
	if g.between.IsZero() {
		g.between = now
	}
	g.slow = now.Sub(g.between) >= slow
}

// report tells where a gang stands if that has changed. Planned and Releasing last for
// moments and are left out, unless they do not.
func (c *Core) report(g *group) {
	status := c.status(g)
	if !g.known || status.Passing() {
		return
	}
	if status.Phase == g.reported.Phase && status.Reason == g.reported.Reason && status.Reservation.Equal(g.reported.Reservation) {
		return
	}
	g.reported = status
	c.emit(Report{Key: g.key, Status: status})
}

// sorted lists gangs by key, so that effects come in the same order every time.
func sorted(groups map[gang.Key]*group) []*group {
	return slices.SortedFunc(maps.Values(groups), byKey)
}

// Pinned returns the node that is held for a member, if one is.
func (c *Core) Pinned(uid string) (node string, ok bool) {
	m := c.members[uid]
	if m == nil || !m.held || c.disowned(m).Code != "" {
		return "", false
	}
	return m.node, true
}

// State returns where a member stands; ok is false for a pod the core does not know.
func (c *Core) State(uid string) (state gang.State, ok bool) {
	m := c.members[uid]
	if m == nil {
		return gang.Waiting, false
	}
	return m.state, true
}

// QueueKey is the member's place in the queue as of now. The caller stores it:
// it may only change while the member is in no queue.
func (c *Core) QueueKey(uid string) (queue.Key, bool) {
	m := c.members[uid]
	if m == nil {
		return queue.Key{}, false
	}
	g := m.group
	return queue.Key{
		Settled: m.held || g.roaming || g.torn(), Priority: m.Priority, Turn: c.turn(g), Since: g.spec.Created,
		Group: g.id, Rank: g.rank(m), UID: uid,
	}, true
}

// Gate says why a member may not enter the queue yet; the zero Reason when it may.
func (c *Core) Gate(uid string) Reason {
	m := c.members[uid]
	if m == nil {
		return Reason{Code: Starting, Message: "the scheduler has not seen this pod yet"}
	}
	if m.barred != "" {
		return Reason{Code: Barred, Message: m.barred}
	}
	if reason := m.group.gate(); m.stopped == "" || reason.Code != MemberStopped {
		return reason
	}
	return Reason{} // it has to be tried, or nobody would learn that it is not stopped any more
}

// Leads reports whether the member is the one that is tried for its gang: the
// first by rank of those that have no place yet. The others follow when it got one.
func (c *Core) Leads(uid string) bool {
	m := c.members[uid]
	return m != nil && m.group.leader() == m
}

// Members returns the UIDs of a gang's members that exist.
func (c *Core) Members(key gang.Key) []string {
	g := c.groups[key]
	if g == nil {
		return nil
	}
	list := make([]string, 0, len(g.members))
	for _, m := range g.members {
		list = append(list, m.UID)
	}
	sort.Strings(list)
	return list
}

// Status returns where a gang stands.
func (c *Core) Status(key gang.Key) (Status, bool) {
	g := c.groups[key]
	if g == nil {
		return Status{}, false
	}
	return c.status(g), true
}

func (c *Core) status(g *group) Status {
	counts := g.counts()
	s := Status{Phase: counts.Phase(g.floor()), Counts: counts, Floor: g.floor()}
	switch s.Phase {
	case gang.Incomplete:
		s.Reason = g.gate()
	case gang.Queued, gang.Healing, gang.Degraded:
		s.Reason = g.reason()
	case gang.Planned, gang.Releasing:
		if g.slow {
			counts := s.Counts
			s.Reason = Reason{OnTheWay, fmt.Sprintf("on the way to its place since %s: of %d members %d are bound, %d are being bound, %d have a node kept for them",
				moment(g.between), counts.Live(), counts.Bound, counts.Binding, counts.Held+counts.Reserved)}
		}
	case gang.Placed:
		if counts.Waiting > 0 {
			s.Reason = g.gate() // more have come that may not be tried
		}
	}
	if r := g.reservation; r != nil {
		s.Reservation = &r.Reservation
	}
	return s
}

// Refusal says why members of a gang that wait were given no place at the last
// attempt, and what the planner said with its numbers; that is nil where it was
// not asked. The zero Reason means that nothing was refused.
func (c *Core) Refusal(key gang.Key) (Reason, *placement.Rejection) {
	g := c.groups[key]
	if g == nil || g.refusal == nil {
		return Reason{}, nil
	}
	return g.refusal.reason, g.refusal.rejection
}

// HeldOn returns what is held on a node for members other than the one named.
// The result is read only and nil where nothing is held.
func (c *Core) HeldOn(node, exceptUID string) cluster.Resources {
	total := c.held[node]
	m := c.members[exceptUID]
	if len(total) == 0 || m == nil || !m.held || m.node != node {
		return total
	}
	return total.Clone().Sub(m.Requests)
}

// Holds reports whether anything is held anywhere.
func (c *Core) Holds() bool { return len(c.held) > 0 }

// Epoch changes whenever room is given back that was held or reserved.
func (c *Core) Epoch() uint64 { return c.epoch }

// Promises reports whether anything is held or reserved anywhere.
func (c *Core) Promises() bool { return len(c.held)+len(c.holders)+len(c.ahead) > 0 }
