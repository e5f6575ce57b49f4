package invariants_test

import (
	"strings"
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/invariants"
)

// What was there before anybody looked is judged by what the objects say of themselves.
func TestStateThatWasListed(t *testing.T) {
	s := newScene()
	s.node("n1", "r1", 4, nil)
	s.gangOf("torn", 2, 0)
	s.bind("torn-0", "n1")
	s.change("torn-0", func(p *invariants.Pod) { p.BoundAt = s.at })
	s.tell("torn", "BindFailed", "1 of 2 members are bound")
	s.gangOf("full", 2, 0)
	s.place("full", "n1")
	for i := range s.history {
		s.history[i].Listed = true
	}
	s.pass(10 * time.Minute)
	s.add(invariants.Event{Synced: true})
	found := map[string]string{}
	for _, v := range s.history.Check(s.options(), s.at) {
		found[v.Invariant] += v.Sentence
	}
	for invariant, says := range map[string]string{
		"S1": "podgroup team/torn has had 1 of its floor of 2 members bound for 10m0s",
		"S2": "node n1: 6 of 4 nvidia.com/gpu are taken; either it has shrunk or pods there have grown since",
	} {
		if !strings.Contains(found[invariant], says) {
			t.Errorf("%s says %q, want %q", invariant, found[invariant], says)
		}
	}
	if len(found) != 2 {
		t.Errorf("found %v", found)
	}
}

// A violation is told once, until it has been mended and comes again.
func TestViolationsAreToldOnce(t *testing.T) {
	s := placed()
	c := invariants.NewChecker(s.options())
	told := 0
	feed := func() {
		for _, e := range s.history {
			told += len(c.Feed(e))
		}
		s.history = nil
		told += len(c.Advance(s.at))
	}
	for round := 1; round <= 2; round++ {
		s.gone("job-0")
		s.pod("job", 0, 2, nil)
		s.tell("job", "DoesNotFit", "1 pod does not fit")
		s.pass(time.Hour)
		feed()
		s.pass(time.Hour)
		feed()
		if told != round {
			t.Fatalf("%d violations after %d rounds", told, round)
		}
		s.place("job", "n1")
		feed()
	}
}

// suspects begins to judge what happens; what it returns says what is suspected so far.
func (s *scene) suspects(t *testing.T) func() string {
	t.Helper()
	c := invariants.NewChecker(s.options())
	return func() string {
		t.Helper()
		for _, e := range s.history {
			for _, v := range c.Feed(e) {
				t.Error(v)
			}
		}
		s.history = nil
		return strings.Join(c.Suspected(), ", ")
	}
}

// What has been mended is not suspected any longer: a deleted job's pods have gone.
func TestSuspicionsEnd(t *testing.T) {
	s := newScene()
	suspected := s.suspects(t)
	s.job(nil)
	s.pod("job", 0, 1, ofJob)
	s.pod("job", 1, 1, ofJob)
	s.add(invariants.Event{Job: &invariants.Job{Namespace: "team", Name: "job", UID: "job-uid"}, Gone: true})
	s.gone("job-0")
	if got := suspected(); got != "S10 orphans of job-uid" {
		t.Errorf("suspected is %q while a pod is left", got)
	}
	s.gone("job-1")
	if got := suspected(); got != "" {
		t.Errorf("suspected is %q when all have gone", got)
	}
}

// A gang that fits is not suspected any longer when it has its place.
func TestSuspicionThatItFitsEnds(t *testing.T) {
	s := placed()
	suspected := s.suspects(t)
	s.gangOf("next", 1, 0)
	s.verdict("next", true)
	if got := suspected(); !strings.Contains(got, "L1 podgroup/team/next") {
		t.Errorf("suspected is %q while it waits", got)
	}
	s.place("next", "n1")
	if got := suspected(); strings.Contains(got, "L1") {
		t.Errorf("suspected is %q when it has its place", got)
	}
}

// What is looked at once, later, is suspected as long as it is wrong: room that others have
// made, until it is used.
func TestExpectationsEnd(t *testing.T) {
	s := placed()
	suspected := s.suspects(t)
	s.group("job", 2, nil)
	s.gangOf("urgent", 1, 10)
	s.evict("job-2", "PreemptedByGang", "evicted for team/urgent, which has priority 10")
	s.gone("job-2")
	if got := suspected(); !strings.Contains(got, "S4 for podgroup/team/urgent") {
		t.Errorf("suspected is %q while the room is not used", got)
	}
	s.place("urgent", "n1")
	if got := suspected(); strings.Contains(got, "S4") {
		t.Errorf("suspected is %q when the room is used", got)
	}
}

// Every invariant of the catalogue has a history that breaks it.
func TestCatalogueIsCovered(t *testing.T) {
	covered := map[string]bool{}
	for _, tt := range broken {
		covered[tt.invariant] = true
	}
	for _, i := range invariants.Catalogue() {
		if !covered[i.Name] {
			t.Errorf("%s (%s) is broken by no history", i.Name, i.Says)
		}
		delete(covered, i.Name)
	}
	if len(covered) > 0 {
		t.Errorf("not in the catalogue: %v", covered)
	}
}
