package core

import (
	"fmt"
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
)

// group is what the core knows of one gang. What can be derived from its members
// is derived, never counted along.
type group struct {
	key      gang.Key
	id       string // the key in one word
	spec     gang.Spec
	known    bool            // the pod group exists
	members  []*member       // in rank order
	finished map[string]bool // UIDs of members that have succeeded
	// outsiders by UID bear the gang's label and are no members.
	outsiders map[string]Outsider

	// tally is derived from the members; nil since one of them has changed.
	tally *tally
	// account and tenancy are derived as well; nil since a member moved or changed.
	account *account
	tenancy *tenant
	// why the floor has no place, as last told; empty since it had one for good.
	why Reason
	// refusal is the answer to the last attempt, nil since that had a plan.
	refusal *refusal
	// excluded are the nodes that the scheduler's filters refused for a class, until
	// the gang is placed or they are asked for every node.
	excluded map[string]map[string]bool
	misses   int
	lastMiss string
	missedAt time.Time
	trial    trial
	roaming  bool // since the first member was left to the filters, until the floor has its place
	// replanning is set from a miss until the next attempt: members that are
	// reserved keep their nodes although the others have none.
	replanning   bool
	lastAttempt  time.Time
	healingSince time.Time
	// between is since when it has been Planned or Releasing, which lasts for moments;
	// slow, when that has taken so long that it is told.
	between     time.Time
	slow        bool
	reported    Status
	reservation *reservation
	agedFrom    time.Time    // its reservation was given back then; zero if none was
	remembered  *Reservation // what the API says, until the core acts
	vain        vain
	shielded    bool // at its last attempt others would have gone for it but for disruption budgets
}

// refusal is a negative answer. While it stands it is the answer to every
// attempt, as long as the epochs stay as they are.
type refusal struct {
	reason    Reason
	rejection *placement.Rejection // what the planner said; nil if it was not asked
	stands    bool                 // until something about the gang itself changes
	viewEpoch uint64
	coreEpoch uint64
	until     time.Time // it is looked at again then; zero for never
}

// member is one pod of a gang with where it stands.
type member struct {
	gang.Member
	group  *group
	state  gang.State
	node   string // where it is held, reserved or bound; empty while it waits
	barred string
	// stopped says why the scheduler refuses it whatever the node; empty since it came as
	// far as to ask for its place.
	stopped string
	roams   bool // it waits, and the scheduler's own filters choose a node for it
	// held: the ledger counts it on its node. That is so in state Held, and in
	// state Binding when the scheduler has let go of it and nobody knows whether
	// it was bound.
	held    bool
	doubted time.Time // when a bind ended in doubt; zero if none did
	// outdated: it was released for another topology than its gang asks for now. It is not
	// tried on its node again.
	outdated bool
	// permitted: no plugin of the scheduler can fail it any more before it is bound.
	permitted bool
	evicted   Reason // that it is to go for, by its own status
}

// priority is that of all members; zero while there are none.
func (g *group) priority() int32 {
	if len(g.members) == 0 {
		return 0
	}
	return g.members[0].Priority
}

// patient gangs evict nobody.
func (g *group) patient() bool {
	return slices.ContainsFunc(g.members, func(m *member) bool { return m.Patient })
}

// duration is how long the gang says that it runs; zero where it does not say.
func (g *group) duration() time.Duration {
	if g.spec.Duration > 0 || len(g.members) == 0 {
		return g.spec.Duration
	}
	longest := time.Duration(0)
	for _, m := range g.members {
		if m.Duration <= 0 {
			return 0
		}
		longest = max(longest, m.Duration)
	}
	return longest
}

func (g *group) floor() int { return max(1, g.spec.Floor) }

func (g *group) counts() gang.Counts {
	counts := g.sums().counts
	counts.Finished = len(g.finished)
	return counts
}

func (g *group) phase() gang.Phase { return g.counts().Phase(g.floor()) }

// leader is the first member that waits; nil if none does.
func (g *group) leader() *member { return g.sums().leader }

// ready reports whether the members that may be bound make up the floor together
// with those that are bound or on their way, so that all may be released.
func (g *group) ready() bool {
	counts := g.counts()
	counts.Reserved = g.sums().permitted
	return g.known && counts.Reserved > 0 && counts.Ready(g.floor())
}

// torn reports whether a part of the floor is bound or on its way and the rest is not.
func (g *group) torn() bool {
	counts := g.counts()
	started := counts.Binding + counts.Bound
	return started > 0 && started+counts.Finished < g.floor()
}

// changed is called when the last answer may no longer be right because of
// something in the gang itself.
func (g *group) changed() {
	g.tally, g.account, g.tenancy = nil, nil, nil
	if g.refusal != nil {
		g.refusal.stands = false
	}
}

// ranked lists the members in one of the given states in rank order.
func (g *group) ranked(states ...gang.State) []*member {
	return g.where(func(m *member) bool {
		return slices.Contains(states, m.state) && (m.barred == "" && m.stopped == "" || m.state != gang.Waiting)
	})
}

func (g *group) where(is func(*member) bool) []*member {
	var list []*member
	for _, m := range g.members {
		if is(m) {
			list = append(list, m)
		}
	}
	return list
}

// rank is the member's place among all members that exist, or where it would be.
func (g *group) rank(m *member) int {
	place, _ := slices.BinarySearchFunc(g.members, m, byRank)
	return place
}

func byRank(a, b *member) int {
	switch {
	case gang.Before(a.Member, b.Member):
		return -1
	case gang.Before(b.Member, a.Member):
		return 1
	}
	return 0
}

func (g *group) insert(m *member) {
	g.members = slices.Insert(g.members, g.rank(m), m)
	g.changed()
}

func (g *group) remove(m *member) {
	place := g.rank(m)
	g.members = slices.Delete(g.members, place, place+1)
	g.changed()
}

// gate says why the gang as a whole may not be tried; the zero Reason when it may.
func (g *group) gate() Reason {
	if !g.known {
		return Reason{GroupNotFound, fmt.Sprintf("PodGroup podgroups.scheduling.x-k8s.io %s does not exist", g.key)}
	}
	if g.spec.Invalid != "" {
		return Reason{Invalid, fmt.Sprintf("PodGroup %s: %s", g.key, g.spec.Invalid)}
	}
	if g.spec.NoQueue != "" {
		return Reason{QueueNotFound, fmt.Sprintf("PodGroup %s: %s", g.key, g.spec.NoQueue)}
	}
	// There would be no telling who goes first and who may be evicted for whom.
	if odd := g.sums().odd; odd != nil {
		first := g.members[0]
		return Reason{MixedPriority, fmt.Sprintf("members differ in priority: %s has %d, %s has %d; give all of them one priorityClassName",
			first.Name, first.Priority, odd.Name, odd.Priority)}
	}
	counts := g.counts()
	present, stopped := counts.Live()+counts.Finished, g.sums().stopped
	if n := g.sums().stops; present < g.floor() && present+n >= g.floor() {
		reason := Reason{MemberStopped, fmt.Sprintf("%s: %s", stopped.Name, stopped.stopped)}
		if n > 1 {
			reason.Message += fmt.Sprintf(" (and %d more of %d members)", n-1, present+n)
		}
		return reason
	}
	if present < g.floor() {
		return Reason{WaitingForMembers, g.incomplete(present)}
	}
	return Reason{}
}

// reason is why the gang still waits.
func (g *group) reason() Reason {
	if reason := g.gate(); reason.Code != "" {
		return reason
	}
	return g.why
}

func uids(members []*member) []string {
	list := make([]string, len(members))
	for i, m := range members {
		list[i] = m.UID
	}
	return list
}
