package core

import (
	"fmt"
	"sort"
	"time"

	"lockstep.dev/lockstep/pkg/gang"
)

// group is what the core knows of one gang. What can be derived from its members
// is derived, never counted along.
type group struct {
	key      gang.Key
	spec     gang.Spec
	known    bool // the pod group exists
	members  map[string]*member
	finished map[string]bool // UIDs of members that have succeeded

	// refusal is the answer to the last attempt, nil since the gang had a plan.
	refusal *refusal
	// excluded are the nodes that the scheduler's filters refused for a class,
	// until the gang is refused or placed.
	excluded     map[string]map[string]bool
	misses       int
	lastMiss     string
	lastAttempt  time.Time
	healingSince time.Time
	reported     Status
}

// refusal is a negative answer with what it depends on: it holds as long as
// neither the cluster nor the gang has changed.
type refusal struct {
	reason    Reason
	viewEpoch uint64
	coreEpoch uint64
	members   int
}

// member is one pod of a gang with where it stands.
type member struct {
	gang.Member
	key    gang.Key
	state  gang.State
	node   string // where it is held, reserved or bound; empty while it waits
	barred string
}

func (g *group) floor() int { return max(1, g.spec.Floor) }

func (g *group) counts() gang.Counts {
	counts := gang.Counts{Finished: len(g.finished)}
	for _, m := range g.members {
		switch {
		case m.state == gang.Bound:
			counts.Bound++
		case m.barred != "":
		case m.state == gang.Waiting:
			counts.Waiting++
		case m.state == gang.Held:
			counts.Held++
		case m.state == gang.Reserved:
			counts.Reserved++
		case m.state == gang.Binding:
			counts.Binding++
		}
	}
	return counts
}

func (g *group) phase() gang.Phase { return g.counts().Phase(g.floor()) }

// ranked lists the members in one of the given states in rank order.
func (g *group) ranked(states ...gang.State) []*member {
	var list []*member
	for _, m := range g.members {
		for _, state := range states {
			if m.state == state && (m.barred == "" || state != gang.Waiting) {
				list = append(list, m)
			}
		}
	}
	sort.Slice(list, func(i, j int) bool { return gang.Before(list[i].Member, list[j].Member) })
	return list
}

// leader is the first member that waits; nil if none does.
func (g *group) leader() *member {
	var first *member
	for _, m := range g.members {
		if m.state == gang.Waiting && m.barred == "" && (first == nil || gang.Before(m.Member, first.Member)) {
			first = m
		}
	}
	return first
}

// rank is the member's place among all members that exist.
func (g *group) rank(m *member) int {
	rank := 0
	for _, other := range g.members {
		if gang.Before(other.Member, m.Member) {
			rank++
		}
	}
	return rank
}

// gate says why the gang as a whole may not be tried; the zero Reason when it may.
func (g *group) gate() Reason {
	if !g.known {
		return Reason{GroupNotFound, fmt.Sprintf("PodGroup podgroups.scheduling.x-k8s.io %s does not exist", g.key)}
	}
	if reason := g.mixedPriority(); reason.Code != "" {
		return reason
	}
	counts := g.counts()
	if present := counts.Live() + counts.Finished; present < g.floor() && counts.Bound == 0 {
		return Reason{WaitingForMembers, fmt.Sprintf("%d of %d members exist", present, g.floor())}
	}
	return Reason{}
}

// mixedPriority refuses gangs whose members differ in priority: there would be no
// telling who goes first and who may be evicted for whom.
func (g *group) mixedPriority() Reason {
	var first *member
	for _, m := range g.members {
		if first == nil || gang.Before(m.Member, first.Member) {
			first = m
		}
	}
	if first == nil {
		return Reason{}
	}
	var other *member
	for _, m := range g.members {
		if m.Priority != first.Priority && (other == nil || gang.Before(m.Member, other.Member)) {
			other = m
		}
	}
	if other == nil {
		return Reason{}
	}
	return Reason{MixedPriority, fmt.Sprintf("members differ in priority: %s has %d, %s has %d; give all of them one priorityClassName",
		first.Name, first.Priority, other.Name, other.Priority)}
}

// reason is why the gang still waits.
func (g *group) reason() Reason {
	if reason := g.gate(); reason.Code != "" {
		return reason
	}
	if g.refusal != nil {
		return g.refusal.reason
	}
	return Reason{}
}

func uids(members []*member) []string {
	list := make([]string, len(members))
	for i, m := range members {
		list[i] = m.UID
	}
	return list
}
