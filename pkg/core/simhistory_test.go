package core_test

import (
	"fmt"
	"strings"
	"time"

	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/invariants"
	"lockstep.dev/lockstep/pkg/topology"
)

// What happens on the simulated API, as a history for package invariants.

// newChecker knows how late things may be here: a watch is late by 15 s, a bind waits
// for its gang, is tried again for more than a minute and is in doubt for a while, and
// a process that dies begins anew.
func (s *sim) newChecker() *invariants.Checker {
	return invariants.NewChecker(invariants.Options{
		Vocabulary: s.names, Levels: []topology.Level{{Name: "rack", Key: "rack"}},
		Staleness: 2 * time.Minute, Repair: 2*healTimeout + 2*time.Minute, Eviction: 2*healTimeout + time.Minute,
		Explain: 3 * time.Minute, Settle: 3 * time.Minute, Writes: 500,
	})
}

func (s *sim) tell(e invariants.Event) {
	e.At = s.now
	s.fed++
	s.complain(s.checker.Feed(e))
}

func (s *sim) complain(violations []invariants.Violation) {
	for _, v := range violations {
		var proof strings.Builder
		for _, e := range v.Evidence {
			fmt.Fprintf(&proof, "\n    %s %s", e.At.Format("04:05"), e)
		}
		s.fail("%s%s", v, proof.String())
	}
}

// identity is the name of the scheduler that lives now.
func (s *sim) identity() string { return fmt.Sprint("lockstep-scheduler/", s.life) }

// elect: the scheduler that lives now holds the lease.
func (s *sim) elect() {
	s.tell(invariants.Event{Lease: &invariants.Lease{Holder: s.identity(), Duration: 100 * 365 * 24 * time.Hour}})
}

func (s *sim) tellNode(n simNode, gone bool) {
	s.tell(invariants.Event{Gone: gone, Node: &invariants.Node{
		Name: n.Name, Labels: n.Labels, Allocatable: n.Allocatable, Cordoned: n.cordoned, Model: s.modelOf(n.Name),
	}})
}

func (s *sim) tellPod(p simPod, by string, gone bool) {
	pod := &invariants.Pod{
		Namespace: p.key.Namespace, Name: p.member.Name, UID: p.uid, Scheduler: "lockstep", Group: p.key.Name, Node: p.node,
		Phase: invariants.Pending, Deleting: p.deleting, Barred: p.barred != "", Priority: p.member.Priority,
		Requests: p.member.Requests, Role: p.member.Role, Index: p.member.Index,
	}
	switch {
	case p.alien:
		pod.Namespace, pod.Name, pod.Group = "other", p.uid, ""
		if p.firm {
			pod.Scheduler = "other"
		}
	case p.finished:
		pod.Phase = invariants.Succeeded
	}
	if p.disrupted.Code != "" {
		pod.Disruption = &invariants.Disruption{Reason: string(p.disrupted.Code), Message: p.disrupted.Message}
	}
	s.tell(invariants.Event{Pod: pod, By: by, Gone: gone})
	if spec, exists := s.api.groups[p.key]; exists && p.finished {
		s.tellGroup(spec, false) // the shell keeps the count, which is not simulated
	}
}

// tellGroup tells of a pod group with what was last said about it.
func (s *sim) tellGroup(spec gang.Spec, gone bool) {
	status := s.api.told[spec.Key]
	g := &invariants.PodGroup{
		Namespace: spec.Key.Namespace, Name: spec.Key.Name, UID: spec.UID, Floor: spec.Floor, Required: spec.Required.Name, Queue: spec.Queue,
		Created: spec.Created, Revocable: spec.Revocable, Placed: status.Phase == gang.Placed, Reason: string(status.Reason.Code), Message: status.Reason.Message,
	}
	if g.Reason == "" {
		g.Reason, g.Message = string(status.Phase), fmt.Sprintf("%d of %d members have a node", status.Counts.Bound, status.Floor)
	}
	for _, p := range s.api.pods {
		if p.key == spec.Key && p.finished {
			g.Succeeded++
		}
	}
	s.tell(invariants.Event{Group: g, Gone: gone})
}

// tellStatus writes where a gang stands into its pod group.
func (s *sim) tellStatus(key gang.Key, status core.Status) {
	if spec, exists := s.api.groups[key]; exists {
		s.api.told[key] = status
		s.tellGroup(spec, false)
	}
}
