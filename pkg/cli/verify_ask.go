package cli

import (
	"context"
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/invariants"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/topology"
)

// ask has the planner say of each gang that waits whether it would fit now, in the order
// of the queue. The cluster is listed for that only while some gang waits.
func (v *verification) ask(ctx context.Context) error {
	var waiting []gang.Key
	v.recording.Do(func() { waiting = v.checker.Waiting() })
	if len(waiting) == 0 {
		return nil
	}
	reader, err := newClusterReader(v.look.kube)
	if err != nil {
		return err
	}
	w := newWorld()
	if err := reader.fill(ctx, w, v.look.namespace()); err != nil {
		return err
	}
	offline, err := v.look.offline(w)
	if err != nil {
		return err
	}
	for _, key := range offline.Queue() {
		before, _ := offline.Standing(key)
		offline.Try(key)
		s, known := offline.Standing(key)
		if !known || !slices.Contains(waiting, key) {
			continue
		}
		verdict := &invariants.Verdict{Gang: key, Text: "the planner has a place for every member of its floor"}
		verdict.Fits = before.Status.Phase == gang.Queued && s.Fits() && len(unchecked(s)) == 0
		v.recording.Do(func() { v.tell(v.checker.Feed(invariants.Event{At: time.Now(), Verdict: verdict})) })
	}
	return nil
}

// unchecked is what the members ask for that the planner does not judge.
func unchecked(s kube.Standing) []string {
	var names []string
	for _, place := range s.Places {
		names = append(names, kube.Unchecked(place.Pod)...)
	}
	return names
}

// givenLevels are those of the flag; without it the checker finds them.
func (v *verification) givenLevels() ([]topology.Level, error) {
	if len(v.look.levels) == 0 {
		return nil, nil
	}
	return parseLevels(v.look.levels)
}
