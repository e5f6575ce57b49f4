package bench

import (
	"context"
	"slices"
	"time"
)

// quiet is how long nothing is bound before a turn with more pods than room counts
// as over. It is longer than any back-off of a peer.
const quiet = 20 * time.Second

// measureDeadlock is the scenario "deadlock": gangs for more than there is, and
// each gets its first pod before any gets its second. What holds a part of a gang
// meanwhile keeps all of them from starting.
func measureDeadlock(ctx context.Context, s Settings, report *Report) error {
	stage := newStage(s)
	if err := stage.start(ctx, s); err != nil {
		return err
	}
	defer stage.close()
	for _, shape := range s.Shapes {
		l := load{Shape: shape, gpus: s.GPUs}
		room := s.Nodes * stage.podsPerNode(l.gpus)
		report.Settings["pods_that_fit"] = room
		err := stage.take(ctx, s, report, shape.String()+", created interleaved", func(ctx context.Context, t *turn) error {
			if err := t.createGroups(ctx, l); err != nil {
				return err
			}
			begin := time.Now()
			if err := t.createPods(ctx, l, l.interleaved()); err != nil {
				return err
			}
			if _, err := t.awaitQuiet(ctx, min(room, l.Gangs*l.Size), quiet); err != nil {
				return err
			}
			t.recordDeadlock(l, begin, time.Now())
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// recordDeadlock records how gangs stand at the end, and how long one was there in
// part: to its end, for one that still is.
func (t *turn) recordDeadlock(l load, begin, end time.Time) {
	whole, partial := 0, 0
	var longest time.Duration
	last := begin
	for _, o := range t.outcomes(l) {
		switch {
		case o.bound == l.Size:
			whole++
			longest = max(longest, o.last.Sub(o.first))
		case o.bound > 0:
			partial++
			longest = max(longest, end.Sub(o.first))
		}
		if o.last.After(last) {
			last = o.last
		}
	}
	t.record("gangs_whole", float64(whole))
	t.record("gangs_partial", float64(partial))
	t.record("gangs_partial_at_most", float64(t.mostPartial(l)))
	t.record("longest_partial_seconds", longest.Seconds())
	t.record("quiet_after_seconds", last.Sub(begin).Seconds())
}

// mostPartial replays the binds and returns the most gangs that were there in part
// at one moment. One pod is bound after the other, so a gang that is being bound
// counts.
func (t *turn) mostPartial(l load) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	type bind struct {
		gang int
		at   time.Time
	}
	var binds []bind
	for g := range l.Gangs {
		for m := range l.Size {
			if b, bound := t.bound[podName(g, m)]; bound {
				binds = append(binds, bind{g, b.at})
			}
		}
	}
	slices.SortFunc(binds, func(a, b bind) int { return a.at.Compare(b.at) })
	bound := make([]int, l.Gangs)
	partial, most := 0, 0
	for _, b := range binds {
		bound[b.gang]++
		if bound[b.gang] == 1 {
			partial++
		}
		if bound[b.gang] == l.Size {
			partial--
		}
		most = max(most, partial)
	}
	return most
}
