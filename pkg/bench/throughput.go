package bench

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// measureGang is the scenario "gang": all pods are created as fast as the apiserver
// takes them, gang by gang; pods per second from the first create to the last bind.
// Beside it the time from a gang's last create to its last bind, how far gangs are
// spread, and what it costs.
func measureGang(ctx context.Context, s Settings, report *Report) error {
	stage := newStage(s)
	loads, err := stage.loads(s.Shapes, func(shape Shape) load {
		return stage.require(load{Shape: shape, gpus: s.GPUs})
	})
	if err != nil {
		return err
	}
	if err := stage.start(ctx, s); err != nil {
		return err
	}
	defer stage.close()
	for _, l := range loads {
		name := l.Shape.String()
		if l.required != "" {
			name += " in one " + l.required
		}
		err := stage.take(ctx, s, report, name, func(ctx context.Context, t *turn) error {
			return t.throughput(ctx, l, true)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// measureSingles is the scenario "singles": pods that are no gang's.
func measureSingles(ctx context.Context, s Settings, report *Report) error {
	stage := newStage(s)
	loads, err := stage.loads(s.Shapes, func(shape Shape) load { return load{Shape: shape, gpus: s.GPUs} })
	if err != nil {
		return err
	}
	if err := stage.start(ctx, s); err != nil {
		return err
	}
	defer stage.close()
	for _, l := range loads {
		for _, gpus := range []int{s.GPUs, 0} {
			l.gpus = gpus
			name := fmt.Sprintf("%d pods with %d GPUs", l.Gangs*l.Size, gpus)
			err := stage.take(ctx, s, report, name, func(ctx context.Context, t *turn) error {
				t.contestant.group, t.contestant.join = nil, nil
				return t.throughput(ctx, l, false)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *turn) throughput(ctx context.Context, l load, gangs bool) error {
	if err := t.createGroups(ctx, l); err != nil {
		return err
	}
	before, err := t.usage(ctx)
	if err != nil {
		return err
	}
	pods := l.Gangs * l.Size
	begin := time.Now()
	if err := t.createPods(ctx, l, l.gangByGang()); err != nil {
		return err
	}
	if err := t.awaitBound(ctx, pods); err != nil {
		return err
	}
	outcomes := t.outcomes(l)
	end := slices.MaxFunc(outcomes, func(a, b outcome) int { return a.last.Compare(b.last) }).last
	t.record("throughput_pods_per_second", float64(pods)/end.Sub(begin).Seconds())
	if gangs {
		t.recordLatency("gang_", outcomes)
		t.recordSpread(outcomes)
	}
	return t.recordUsage(ctx, before, pods)
}

// recordLatency records seconds from a gang's last create to its last bind.
func (t *turn) recordLatency(prefix string, outcomes []outcome) {
	var took []float64
	for _, o := range outcomes {
		took = append(took, max(0, o.last.Sub(o.created).Seconds()))
	}
	slices.Sort(took)
	t.record(prefix+"p50_seconds", percentile(took, 50))
	t.record(prefix+"p99_seconds", percentile(took, 99))
}

// recordSpread records how many racks and nodes a gang is on, in the mean.
func (t *turn) recordSpread(outcomes []outcome) {
	racks, nodes, placed := 0, 0, 0
	for _, o := range outcomes {
		racks, nodes = racks+o.nodes.racks(), nodes+len(o.nodes)
		if o.bound > 0 {
			placed++
		}
	}
	if placed > 0 {
		t.record("racks_per_gang", float64(racks)/float64(placed))
		t.record("nodes_per_gang", float64(nodes)/float64(placed))
	}
}

// measureLatency is the scenario "latency": gangs come one at a time.
func measureLatency(ctx context.Context, s Settings, report *Report) error {
	stage := newStage(s)
	loads, err := stage.loads(s.Shapes, func(shape Shape) load {
		return stage.require(load{Shape: shape, gpus: s.GPUs})
	})
	if err != nil {
		return err
	}
	if err := stage.start(ctx, s); err != nil {
		return err
	}
	defer stage.close()
	for _, l := range loads {
		err := stage.take(ctx, s, report, l.Shape.String()+", one at a time", func(ctx context.Context, t *turn) error {
			if err := t.createGroups(ctx, l); err != nil {
				return err
			}
			order := l.gangByGang()
			for g := range l.Gangs {
				if err := t.createPods(ctx, l, order[g*l.Size:(g+1)*l.Size]); err != nil {
					return err
				}
				if err := t.awaitBound(ctx, (g+1)*l.Size); err != nil {
					return err
				}
			}
			t.recordLatency("", t.outcomes(l))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
