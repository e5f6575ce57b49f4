package invariants

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"lockstep.dev/lockstep/pkg/gang"
)

// judgeEviction is S4 and S7 for a pod that Lockstep evicts: it says why and for whom,
// takes the whole gang or its surplus, and only from those that are less important.
func (c *Checker) judgeEviction(p *podState, before *change, e Event) {
	deletedByUs := strings.HasPrefix(e.By, c.opts.SchedulerWriter) && p.Deleting && (before.pod == nil || !before.pod.Deleting)
	if deletedByUs && p.Disruption == nil {
		c.broken("S4", []string{p.object()}, []Event{e}, "pod %s was evicted without a condition that says why", p)
	}
	if p.Disruption == nil || before.pod == nil || before.pod.Disruption != nil {
		return
	}
	if p.Disruption.Reason == "" || p.Disruption.Message == "" {
		c.broken("S4", []string{p.object()}, []Event{e}, "pod %s was evicted, and its condition says %q: %q; it should say why, and for whom",
			p, p.Disruption.Reason, p.Disruption.Message)
	}
	if slices.Contains([]string{preempted, revoked, reclaimed, balanced}, p.Disruption.Reason) {
		c.judgePreemption(p, e)
	}
	c.judgeTold(p, e)
	if g := c.world.gangs[p.gang()]; p.Group != "" && g != nil {
		c.judgeRemainder(g, e)
	}
}

// judgePreemption looks at an eviction for another gang.
func (c *Checker) judgePreemption(p *podState, e Event) {
	winner := c.winner(p)
	if winner == nil && c.outlived(p) {
		return // it was on its way when the gang was deleted
	}
	if winner == nil {
		c.broken("S4", []string{p.object()}, []Event{e}, "pod %s was evicted (%s) for nobody that is known: %s", p, p.Disruption.Reason, p.Disruption.Message)
		return
	}
	t := c.world.tally(winner, c.member)
	if c.recent(winner.lostAt) { // by what the eviction may have been decided
		t.priority = max(t.priority, winner.lostPriority)
	}
	if wrong := c.unjust(p, winner, t); t.exist > 0 && wrong != "" {
		c.broken("S7", []string{p.object(), winner.object()}, append(winner.evidence(), e),
			"pod %s of priority %d was evicted (%s) for podgroup %s of priority %d%s", p, p.Priority, p.Disruption.Reason, winner.key, t.priority, wrong)
	}
	// Either the room is used, or it is said why not.
	at := c.now
	c.expect("S4", "for "+winner.object(), at, c.opts.Repair, func(time.Time) (Violation, bool) {
		t := c.world.tally(winner, c.member)
		idle := winner.group != nil && t.bound+t.succeeded < winner.floor() && t.exist+t.succeeded >= winner.floor() &&
			winner.said < e.Seq
		return Violation{Objects: []string{p.object(), winner.object()}, Evidence: append(winner.evidence(), e), Sentence: fmt.Sprintf(
			"pod %s was evicted for podgroup %s, which has had no place for %s since, and nothing new was said about it", p, winner.key, lasted(at, c.now))}, idle
	})
}

// Why somebody is evicted for a gang.
const (
	preempted = "PreemptedByGang"   // it is less important
	revoked   = "RevokedForGang"    // it has agreed to go for who has a reservation
	reclaimed = "ReclaimedForQueue" // it holds what the gang's queue is guaranteed
	balanced  = "ReclaimedForShare" // its queue has borrowed more than the gang's, for its weight
)

// unjust says what is wrong with a pod's eviction for a gang; empty if nothing is.
func (c *Checker) unjust(p *podState, winner *gangState, t tally) string {
	switch less, equal := p.Priority < t.priority, p.Priority == t.priority; p.Disruption.Reason {
	case revoked:
		if !c.revocable(p) {
			return ", and has not agreed to that"
		}
		if !less && (!equal || winner.group != nil && winner.group.Revocable) {
			return ", which is no more important and revocable as well"
		}
	case reclaimed:
		if wrong := c.reclaims(p, winner); wrong != "" {
			return ", " + wrong
		}
	case balanced:
		if !less && !equal {
			return ", which is less important"
		}
		if wrong := c.balances(p, winner); wrong != "" {
			return ", " + wrong
		}
	default:
		if !less {
			return ", which is no more important"
		}
	}
	return ""
}

// revocable reports whether a pod has agreed to be ended; one whose pod group has
// changed or gone a moment ago may have.
func (c *Checker) revocable(p *podState) bool {
	g := c.world.gangs[p.gang()]
	return p.Revocable || p.Group != "" && g != nil && (g.group != nil && g.group.Revocable || c.recent(g.changed))
}

// winner is the gang that an eviction's message names; nil if it names none but the
// victim's own.
func (c *Checker) winner(p *podState) *gangState {
	for _, key := range named(p.Disruption.Message) {
		if g := c.world.gangs[key]; g != nil && (key != p.gang() || p.Group == "") {
			return g
		}
	}
	return nil
}

// outlived reports whether an eviction's message names a gang that is gone since a moment.
func (c *Checker) outlived(p *podState) bool {
	return slices.ContainsFunc(named(p.Disruption.Message), func(key gang.Key) bool {
		at, gone := c.world.goneGangs[key]
		return gone && c.now.Sub(at) <= c.opts.Staleness
	})
}

// named lists what in a message could be the name of a gang.
func named(message string) []gang.Key {
	var keys []gang.Key
	for _, word := range strings.FieldsFunc(message, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(`,;:()"'`, r)
	}) {
		if namespace, name, ok := strings.Cut(strings.TrimSuffix(word, "."), "/"); ok {
			keys = append(keys, gang.Key{Namespace: namespace, Name: name})
		}
	}
	return keys
}

// judgeTold: the eviction is told by an event as well, on the pod or on its gang.
func (c *Checker) judgeTold(p *podState, e Event) {
	if !c.world.notices {
		return
	}
	uid, pod := p.UID, p.Pod
	c.expect("S4", "told "+uid, c.now, c.opts.Eviction, func(time.Time) (Violation, bool) {
		_, told := c.world.noticed[uid]
		return Violation{Objects: []string{"pod/" + pod.String()}, Evidence: []Event{e}, Sentence: fmt.Sprintf(
			"pod %s was evicted (%s) and no event has told so for %s", &pod, pod.Disruption.Reason, c.opts.Eviction)}, !told
	})
}

// judgeNotice takes in what the scheduler tells.
func (c *Checker) judgeNotice(e Event) {
	n := e.Notice
	c.judgeScheduled(e)
	if n.Action != "Evicting" || n.Kind != "Pod" || !slices.Contains(c.opts.Schedulers, n.Reporter) || e.Gone {
		return
	}
	c.world.noticed[n.About] = c.now
	c.expect("S4", "event "+n.UID, c.now, c.opts.Eviction, func(time.Time) (Violation, bool) {
		p := c.world.pods[n.About]
		v := Violation{Objects: []string{"pod/" + n.Namespace + "/" + n.Name}, Evidence: []Event{e}}
		if p == nil {
			return v, false
		}
		v.Evidence = append(v.Evidence, p.event)
		v.Sentence = fmt.Sprintf("the scheduler has told of the eviction of pod %s (%s), which has no condition that says so", p, n.Message)
		return v, p.Disruption == nil
	})
}

// judgeRemainder: what an eviction leaves of a gang is nothing, or its floor. Only
// members that were bound before count: the gang may start again meanwhile. One that is
// whole again was healed, and no eviction is to blame for a floor that was raised later,
// nor for members that went by themselves, those that have succeeded included.
// What is left when the scheduler dies half way is its successor's to heal, which is S1.
func (c *Checker) judgeRemainder(g *gangState, e Event) {
	at, floor, leader := c.now, g.floor(), c.world.leader()
	var there []*podState // bound or successful by now; whoever is bound later, be it in the same moment, is not left by this
	for _, p := range g.pods {
		if c.member(p) && (p.live() && p.Node != "" || p.Phase == Succeeded) {
			there = append(there, p)
		}
	}
	before := 0 // who went in a moment that the eviction may not have known of
	for _, p := range c.world.once {
		if p.Group != "" && p.gang() == g.key && p.Disruption == nil && c.recent(p.goneAt) {
			before++
		}
	}
	c.expect("S4", g.object(), at, c.opts.Eviction, func(time.Time) (Violation, bool) {
		t := c.world.tally(g, c.member)
		left, went := 0, before
		for _, p := range there {
			switch exists := c.world.pods[p.UID] == p; {
			case exists && p.live():
				if c.member(p) {
					left++
				}
			case p.Disruption == nil && !(exists && p.Phase == Succeeded):
				went++
			}
		}
		return Violation{Objects: []string{g.object()}, Evidence: append(g.evidence(), e), Sentence: fmt.Sprintf(
				"podgroup %s was left with %d members of its floor of %d by an eviction (%s: %s)",
				g.key, left, g.floor(), e.Pod.Disruption.Reason, e.Pod.Disruption.Message)},
			g.group != nil && left > 0 && t.bound+t.succeeded+went < min(floor, g.floor()) && c.world.leader() == leader
	})
}
