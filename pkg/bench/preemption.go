package bench

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// urgent is the class of the gangs that others have to make room for.
	urgent = "bench-urgent"
	// stopTime is how long an evicted pod takes to go.
	stopTime = time.Second
	// urgentPatience is how long such a gang is waited for.
	urgentPatience = 20 * time.Second
)

// measurePreemption is the scenario "preemption": gangs of mixed sizes hold every GPU,
// and more important gangs come, one after the other.
func measurePreemption(ctx context.Context, s Settings, report *Report) error {
	stage := newStage(s)
	loads, err := stage.loads(s.Shapes, func(shape Shape) load {
		return load{Shape: shape, gpus: s.GPUs, priority: urgent}
	})
	if err != nil {
		return err
	}
	if err := stage.start(ctx, s); err != nil {
		return err
	}
	defer stage.close()
	if err := stage.cluster.AddPriorityClass(ctx, urgent, 1000); err != nil {
		return err
	}
	for _, l := range loads {
		name := fmt.Sprintf("%s pods of %d GPUs", l.Shape, l.gpus)
		err := stage.take(ctx, s, report, name, func(ctx context.Context, t *turn) error { return t.preemption(ctx, l, report) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *turn) preemption(ctx context.Context, l load, report *Report) error {
	list := tenants(t.nodes, int64(t.repeat))
	least, exact, err := fewest(list, t.nodes, l)
	if err != nil {
		return err
	}
	if !exact {
		report.note("%s, repeat %d: the gangs that have to end are the fewest that were found", l.Shape, t.repeat)
	}
	tenancy, err := t.settle(ctx, list, stopTime)
	if err != nil {
		return err
	}
	if err := t.createGroups(ctx, l); err != nil {
		return err
	}
	ended := 0
	var took []float64
	for g := range l.Gangs {
		before := tenancy.staying()
		if err := t.createPods(ctx, l, l.pods(g)); err != nil {
			return err
		}
		begin := time.Now()
		whole, err := t.awaitWithin(ctx, l.pods(g), urgentPatience)
		if err != nil {
			return err
		}
		if whole {
			took = append(took, time.Since(begin).Seconds())
		}
		ended += endings(list, before, tenancy.staying())
	}
	slices.Sort(took)
	t.record("gangs_whole", float64(len(took)))
	if len(took) > 0 {
		t.record("seconds_to_whole_p50", median(took))
		t.record("seconds_to_whole_most", took[len(took)-1])
	}
	t.record("gangs_ended", float64(ended))
	t.record("gangs_ended_at_least", float64(least))
	if least > 0 {
		t.record("gangs_ended_over_least", float64(ended)/float64(least))
	}
	t.record("gangs_left_in_part", float64(inPart(list, tenancy.staying())))
	pods, evicted, lost := tenancy.toll()
	t.record("pods_evicted", float64(pods))
	t.record("evicted_gpu_hours", evicted/3600)
	t.record("lost_gpu_hours", lost/3600)
	return nil
}

// endings counts the tenants that had their floor before and have it no more.
func endings(list []tenant, before, after [][]int) int {
	n := 0
	for i, t := range list {
		if len(before[i]) >= t.floor && len(after[i]) < t.floor {
			n++
		}
	}
	return n
}

// inPart counts the tenants of which some members run and fewer than the floor.
func inPart(list []tenant, staying [][]int) int {
	n := 0
	for i, t := range list {
		if len(staying[i]) > 0 && len(staying[i]) < t.floor {
			n++
		}
	}
	return n
}
