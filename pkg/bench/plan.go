package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/placement"
)

// measurePlan is the scenario "plan": how long one plan takes in this process, on a
// cluster of which 40 % is taken. "warm" is with an index that is kept while gangs
// come and go, "cold" with everything to be prepared.
func measurePlan(ctx context.Context, s Settings, report *Report) error {
	nodes, pods := []int{100, 1000, 5000, 10_000}, []int{8, 64, 512, 4096}
	if s.Quick {
		nodes, pods = []int{100, 1000, 5000}, []int{8, 64, 512}
	}
	var warm, cold []timing
	for _, n := range nodes {
		for _, size := range pods {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if size > n*4 {
				continue // they do not fit
			}
			s.Log(fmt.Sprintf("plan %d pods on %d nodes", size, n))
			w, c, err := report.plan(n, size, s.Repeat)
			if err != nil {
				return err
			}
			warm, cold = append(warm, w), append(cold, c)
		}
	}
	for _, fitted := range []struct {
		name    string
		timings []timing
	}{{"warm", warm}, {"cold", cold}} {
		byNodes, byPods := exponents(fitted.timings)
		report.Runs = append(report.Runs,
			Run{"fitted exponents", Lockstep, fitted.name + "_of_nodes", 1, byNodes},
			Run{"fitted exponents", Lockstep, fitted.name + "_of_pods", 1, byPods})
	}
	return nil
}

// plan measures one size and returns the medians.
func (r *Report) plan(nodes, size, repeat int) (warm, cold timing, err error) {
	name := fmt.Sprintf("%d nodes, %d pods", nodes, size)
	record := func(metric string, i int, value float64) {
		r.Runs = append(r.Runs, Run{name, Lockstep, metric, i + 1, value})
	}
	free := freeGPUs(nodes, 0.4, 1)
	var warms, colds []float64
	for i := range repeat {
		p := newPlanning(free)
		request := placement.Request{Classes: []placement.Class{p.class(size)}}
		took, _, err := p.timed(request, 1)
		if err != nil {
			return warm, cold, fmt.Errorf("%s: %w", name, err)
		}
		record("cold_ms", i, took*1000)
		colds = append(colds, took)
		took, allocations, err := p.timed(request, 40)
		if err != nil {
			return warm, cold, fmt.Errorf("%s: %w", name, err)
		}
		record("warm_ms", i, took*1000)
		record("warm_allocations", i, allocations)
		warms = append(warms, took)
	}
	slices.Sort(warms)
	slices.Sort(colds)
	return timing{nodes, size, median(warms)}, timing{nodes, size, median(colds)}, nil
}

// timed plans some times, each time on another state: a gang is placed, and next
// time the one before it has gone. It returns the median of the seconds that a plan
// takes, the books' own time apart, and the mean of its allocations.
func (p *planning) timed(request placement.Request, times int) (seconds, allocations float64, err error) {
	var took []float64
	var before, after runtime.MemStats
	var last *placement.Plan
	for range times {
		runtime.ReadMemStats(&before)
		begin := time.Now()
		plan, _ := p.index.Solve(request)
		took = append(took, time.Since(begin).Seconds())
		runtime.ReadMemStats(&after)
		allocations += float64(after.Mallocs-before.Mallocs) / float64(times)
		if plan == nil {
			return 0, 0, errors.New("no plan was found")
		}
		if last != nil {
			p.book(last, 1)
			last = nil
		} else {
			p.book(plan, -1)
			last = plan
		}
	}
	slices.Sort(took)
	return median(took), allocations, nil
}

// timing is how long a plan takes.
type timing struct {
	nodes, pods int
	seconds     float64
}

// exponents fits seconds = c * nodes^a * pods^b by least squares of the logarithms.
func exponents(timings []timing) (a, b float64) {
	var n, sumX, sumY, sumZ float64
	for _, t := range timings {
		n, sumX, sumY, sumZ = n+1, sumX+math.Log(float64(t.nodes)), sumY+math.Log(float64(t.pods)), sumZ+math.Log(t.seconds)
	}
	var xx, xy, yy, xz, yz float64
	for _, t := range timings {
		x, y, z := math.Log(float64(t.nodes))-sumX/n, math.Log(float64(t.pods))-sumY/n, math.Log(t.seconds)-sumZ/n
		xx, xy, yy, xz, yz = xx+x*x, xy+x*y, yy+y*y, xz+x*z, yz+y*z
	}
	determinant := xx*yy - xy*xy
	return (xz*yy - yz*xy) / determinant, (yz*xx - xz*xy) / determinant
}
