package bench

import (
	"context"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"lockstep.dev/lockstep/pkg/sim"
)

// measureOpenb is the scenario "openb": the published protocol replayed in this
// process, the same seeds for every policy. Lockstep's policy is that of its name.
func measureOpenb(ctx context.Context, s Settings, report *Report) error {
	trace, err := readOpenb(s.Traces)
	if err != nil {
		return s.withoutTrace(report, err)
	}
	seeds := 10
	if s.Quick {
		seeds = 2
	}
	report.Settings["seeds"] = seeds
	type result struct {
		*sim.OpenbResult
		seconds float64
	}
	policies := append([]string{Lockstep}, slices.DeleteFunc(slices.Clone(sim.Policies), func(p string) bool { return p == Lockstep })...)
	results := make([]result, len(policies)*seeds)
	errs := make([]error, len(results))
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range results {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if errs[i] = ctx.Err(); errs[i] != nil {
				return
			}
			begin := time.Now()
			results[i].OpenbResult, errs[i] = sim.Openb(trace, sim.OpenbOptions{Policy: policies[i/seeds], Arrive: 1.3, Seed: 42 + int64(i%seeds)})
			results[i].seconds = time.Since(begin).Seconds()
		})
	}
	wg.Wait()
	for i, r := range results {
		if errs[i] != nil {
			return errs[i]
		}
		record := func(metric string, value float64) {
			report.Runs = append(report.Runs, Run{"130 % asked for", policies[i/seeds], metric, i%seeds + 1, value})
		}
		record("unallocated_percent", r.UnallocatedPercent)
		record("fragment_percent", r.FragmentPercent)
		record("run_seconds", r.seconds)
	}
	return nil
}

// readOpenb reads the trace under a directory of traces.
func readOpenb(dir string) (trace *sim.OpenbTrace, err error) {
	err = withTables(filepath.Join(dir, "openb"), func(tables []sim.Table) (err error) {
		trace, err = sim.ReadOpenb(tables[0], tables[1])
		return err
	}, "nodes_gpu.csv", "pods_default.csv")
	return trace, err
}
