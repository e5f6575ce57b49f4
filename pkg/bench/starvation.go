package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// starving is how the scenario "starvation" is set up.
type starving struct {
	least, most  time.Duration // that a small pod runs
	reserveAfter time.Duration // that Lockstep waits before it keeps room
	patience     time.Duration // that the gang is given
}

// gangGPUs is what the gang of the scenario asks for in all.
const gangGPUs = 64

// backlog is how many small pods wait at any time.
const backlog = 32

// measureStarvation is the scenario "starvation": pods of one GPU that never stop
// coming keep all nodes full, and one gang comes that needs half of them.
func measureStarvation(ctx context.Context, s Settings, report *Report) error {
	c := starving{least: 4 * time.Second, most: 10 * time.Second, reserveAfter: 5 * time.Second, patience: 40 * time.Second}
	if s.Quick {
		c = starving{least: time.Second, most: 4 * time.Second, reserveAfter: 2 * time.Second, patience: 12 * time.Second}
	}
	stage := newStage(s)
	stage.served = true
	loads, err := stage.loads(s.Shapes, func(shape Shape) load {
		return load{Shape: shape, gpus: cmp.Or(s.GPUs, max(1, gangGPUs/(shape.Gangs*shape.Size)))}
	})
	if err != nil {
		return err
	}
	if err := stage.start(ctx, s); err != nil {
		return err
	}
	defer stage.close()
	stage.arguments = map[string]any{"reserveAfterSeconds": int(c.reserveAfter / time.Second)}
	report.Settings["reserve_after_seconds"] = int(c.reserveAfter / time.Second)
	report.Settings["patience_seconds"] = int(c.patience / time.Second)
	for _, l := range loads {
		name := fmt.Sprintf("%s pods of %d GPUs", l.Shape, l.gpus)
		err := stage.take(ctx, s, report, name, func(ctx context.Context, t *turn) error {
			started, err := t.starvation(ctx, l, c)
			if err == nil && !started {
				report.note("%s, %s: not started within %s", name, t.contestant.name, c.patience)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// starvation returns whether the gang has started.
func (t *turn) starvation(ctx context.Context, l load, c starving) (started bool, err error) {
	small, err := t.startStream(ctx, backlog, c.least, c.most, int64(t.repeat))
	if err != nil {
		return false, err
	}
	ended := false
	defer func() {
		if !ended {
			_ = small.end()
		}
	}()
	begin := time.Now()
	if err := t.createGroups(ctx, l); err != nil {
		return false, err
	}
	if err := t.createPods(ctx, l, l.gangByGang()); err != nil {
		return false, err
	}
	started, err = t.awaitWithin(ctx, l.gangByGang(), c.patience)
	if err != nil {
		return false, err
	}
	ended = true
	if err := small.end(); err != nil {
		return false, err
	}
	t.recordStarvation(l, c, begin, time.Now(), started, small.all())
	return started, nil
}

// recordStarvation records when the gang has started, what was idle until then, what
// it held in part, and, for who kept room, how that compares with the time that the
// room took to get free.
func (t *turn) recordStarvation(l load, c starving, begin, end time.Time, started bool, small []tenure) {
	places := map[string]int{}
	var held time.Duration
	capacity := t.nodes * gpusPerNode
	uses := uses(small, 1)
	for _, p := range l.gangByGang() {
		b, bound := t.binding(podName(p.gang, p.member))
		if !bound {
			continue
		}
		places[b.node]++
		uses = append(uses, use{b.at, l.gpus})
		held += end.Sub(b.at) * time.Duration(l.gpus)
	}
	t.record("started", float64(count(started)))
	if started {
		t.record("seconds_to_start", end.Sub(begin).Seconds())
	}
	waited := end.Sub(begin).Seconds()
	idle := idleSeconds(uses, capacity, begin, end)
	t.record("idle_gpu_seconds", idle)
	t.record("idle_percent", 100*idle/waited/float64(capacity))
	t.record("held_in_part_gpu_seconds", held.Seconds())
	if kept := begin.Add(c.reserveAfter); started && t.contestant.name == Lockstep && end.After(kept) {
		if took := drainSeconds(small, places, l.gpus, kept); took > 0 {
			t.record("drain_seconds", took)
			t.record("least_drain_seconds", leastDrainSeconds(small, t.nodes, l, kept))
			t.record("start_over_drain", end.Sub(kept).Seconds()/took)
		}
	}
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// binding is where and when a pod was bound.
func (t *turn) binding(pod string) (binding, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, bound := t.bound[pod]
	return b, bound
}

// use is GPUs that are taken from a time on, or given back where it is negative.
type use struct {
	at   time.Time
	gpus int
}

func uses(tenures []tenure, gpus int) []use {
	var list []use
	for _, t := range tenures {
		list = append(list, use{t.bound, gpus})
		if !t.ended.IsZero() {
			list = append(list, use{t.ended, -gpus})
		}
	}
	return list
}

// idleSeconds is the GPU-seconds that nobody used of a capacity.
func idleSeconds(uses []use, capacity int, from, to time.Time) float64 {
	slices.SortStableFunc(uses, func(a, b use) int { return a.at.Compare(b.at) })
	idle, free, last := 0.0, capacity, from
	for _, u := range uses {
		if u.at.After(to) {
			break
		}
		if u.at.After(last) {
			idle += float64(free) * u.at.Sub(last).Seconds()
			last = u.at
		}
		free -= u.gpus
	}
	return idle + float64(free)*to.Sub(last).Seconds()
}

// freeAfter is when the GPUs of a node came free that were in use at a moment, in
// order: at once for those that nobody used. One that has not ended yet is left out.
func freeAfter(small []tenure, node string, at time.Time) []float64 {
	list := []float64{}
	busy := 0
	for _, t := range small {
		if t.node != node || t.bound.After(at) || !t.ended.IsZero() && !t.ended.After(at) {
			continue
		}
		busy++
		if !t.ended.IsZero() {
			list = append(list, t.ended.Sub(at).Seconds())
		}
	}
	for range gpusPerNode - busy {
		list = append(list, 0)
	}
	slices.Sort(list)
	return list
}

// drainSeconds is how long it took until the nodes where the gang's pods are had room
// for them, if nobody else had come.
func drainSeconds(small []tenure, places map[string]int, gpus int, at time.Time) float64 {
	took := 0.0
	for node, pods := range places {
		if free := freeAfter(small, node, at); pods*gpus <= len(free) {
			took = max(took, free[pods*gpus-1])
		}
	}
	return took
}

// leastDrainSeconds is the same for the nodes that got free first; who knew all ends
// beforehand would have chosen these.
func leastDrainSeconds(small []tenure, nodes int, l load, at time.Time) float64 {
	var slots []float64
	for i := range nodes {
		free := freeAfter(small, fakenodes.NodeName(i), at)
		for n := l.gpus; n <= len(free); n += l.gpus {
			slots = append(slots, free[n-1])
		}
	}
	slices.Sort(slots)
	if need := l.Gangs * l.Size; need <= len(slots) {
		return slots[need-1]
	}
	return 0
}
