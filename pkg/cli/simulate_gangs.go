package cli

import (
	"fmt"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/sim"
	"lockstep.dev/lockstep/pkg/topology"
)

// gangsResult is a comparison of policies for gangs.
type gangsResult struct {
	Trace               string              `json:"trace"` // "gangs"
	PatienceSeconds     int64               `json:"patience_seconds"`
	ReserveAfterSeconds int64               `json:"reserve_after_seconds"`
	ReclaimAfterSeconds int64               `json:"reclaim_after_seconds"`
	Preemption          bool                `json:"preemption"`
	Policies            []*sim.ReplayReport `json:"policies"`
}

func (f *simulateFlags) simulateGangs() (simulation, error) {
	var nodes []cluster.Node
	var levels []topology.Level
	var jobs []sim.Job
	err := withTables(func(tables []sim.Table) (err error) {
		if nodes, levels, err = sim.ReadCluster(tables[0], tables[2]); err == nil {
			jobs, err = sim.ReadJobs(tables[1])
		}
		return err
	}, f.nodes, f.jobs, f.topology)
	if err != nil {
		return nil, err
	}
	if f.elastic != "" {
		return f.simulateElastic(nodes, levels, jobs)
	}
	result := &gangsResult{
		Trace: "gangs", PatienceSeconds: int64(f.patience / time.Second),
		ReserveAfterSeconds: int64(f.reserveAfter / time.Second), ReclaimAfterSeconds: int64(f.reclaimAfter / time.Second), Preemption: f.preemption,
		Policies: make([]*sim.ReplayReport, len(f.policies)),
	}
	err = each(len(f.policies), func(i int) (err error) {
		options, err := f.replay(f.policies[i])
		if err == nil {
			result.Policies[i], err = sim.Replay(nodes, levels, jobs, options)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// replay is what the flags say about a replay.
func (f *simulateFlags) replay(policy string) (sim.ReplayOptions, error) {
	whole := func(d time.Duration) int64 { return int64(d / time.Second) }
	options := sim.ReplayOptions{
		Policy: policy, Seed: f.seed, PatienceSeconds: whole(f.patience), ReserveAfterSeconds: whole(f.reserveAfter),
		ReclaimAfterSeconds: whole(f.reclaimAfter), Preemption: f.preemption, DeclareDurations: f.declare, Costs: sim.DefaultCosts(), Load: f.load, Stopped: f.stopped,
	}
	for _, text := range f.queues {
		q, err := sim.ParseQueue(text)
		if err != nil {
			return options, fmt.Errorf("--queues: %w", err)
		}
		options.Queues = append(options.Queues, q)
	}
	options.Costs.RestartSeconds, options.Costs.CheckpointSeconds = whole(f.restart), whole(f.checkpoint)
	switch {
	case f.load < 0 || f.load > 10:
		return options, fmt.Errorf("--load: %v is not from 0 to 10; 0 leaves the arrivals", f.load)
	case f.patience < 0:
		return options, fmt.Errorf("--patience: %v is negative", f.patience)
	case f.reclaimAfter < 0:
		return options, fmt.Errorf("--reclaim-after: %v is negative; 0 means never", f.reclaimAfter)
	case f.reserveAfter < 0:
		return options, fmt.Errorf("--reserve-after: %v is negative; 0 means never", f.reserveAfter)
	case options.Costs.RestartSeconds < 0 || options.Costs.CheckpointSeconds < 1:
		return options, fmt.Errorf("--restart: %v must not be negative, and --checkpoint: %v must be at least 1s", f.restart, f.checkpoint)
	}
	return options, nil
}

func (r *gangsResult) tables() []reportTable {
	whole := [][]string{{"POLICY", "FINISHED", "FAILED", "NEVER FIT", "PREEMPTED", "LOST GPU HOURS", "ALLOCATED %", "USEFUL %", "KEPT IDLE %", "WHOLE NODES FREE", "FREE GPUS ON THEM %"}}
	waiting := [][]string{{"POLICY", "GPUS", "JOBS", "MEAN WAIT", "P50", "P99", "MOST", "SLOWDOWN"}}
	spread := [][]string{{"POLICY", "LEVEL", "GANGS", "DOMAINS", "OVER EMPTY CLUSTER", "OVER BEST THEN"}}
	for _, p := range r.Policies {
		whole = append(whole, []string{
			p.Policy, fmt.Sprint(p.JobsFinished), fmt.Sprint(p.JobsFailed), fmt.Sprint(p.JobsNeverFit), fmt.Sprint(p.Preempted.Jobs),
			fmt.Sprintf("%.0f", p.Preempted.LostGPUHours), fixed(p.AllocatedPercent),
			fixed(p.UsefulPercent), fixed(p.KeptPercent), fixed(p.Fragmentation.WholeNodes), fixed(p.Fragmentation.WholeNodePercent),
		})
		for _, c := range p.Waiting {
			waiting = append(waiting, []string{
				p.Policy, c.GPUs, fmt.Sprint(c.Jobs), span(c.MeanSeconds), span(float64(c.P50Seconds)),
				span(float64(c.P99Seconds)), span(float64(c.MaxSeconds)), fixed(c.MeanSlowdown),
			})
		}
		for _, l := range p.Stretch {
			spread = append(spread, []string{
				p.Policy, l.Level, fmt.Sprint(l.Gangs), fixed(l.MeanDomains), fixed(l.MeanOverEmpty), fixed(l.MeanOverBest),
			})
		}
	}
	shares := [][]string{{"POLICY", "QUEUE", "WEIGHT", "JOBS", "MEAN WAIT", "GPU HOURS", "BORROWED", "FAIR", "OF FAIR %"}}
	for _, p := range r.Policies {
		for _, q := range p.Queues {
			ofFair := "-"
			if q.OfFairPercent != nil {
				ofFair = fixed(*q.OfFairPercent)
			}
			shares = append(shares, []string{
				p.Policy, q.Queue, fmt.Sprint(q.Weight), fmt.Sprint(q.Jobs), span(q.MeanWaitSeconds), fmt.Sprintf("%.0f", q.GPUHours),
				fmt.Sprintf("%.0f", q.BorrowedGPUHours), fmt.Sprintf("%.0f", q.FairGPUHours), ofFair,
			})
		}
	}
	tables := []reportTable{
		{"Use of the cluster", whole}, {"Waiting, by the GPUs that a job asks for", waiting},
		{"Domains that a gang is spread over", spread},
	}
	if len(shares) > 1 {
		tables = append(tables, reportTable{"Shares of queues", shares})
	}
	return tables
}

func span(seconds float64) string {
	return (time.Duration(seconds) * time.Second).String()
}

func (r *gangsResult) page() reportPage {
	allocated := chart{Title: "GPUs in use", X: "hours", Y: "% of all GPUs"}
	waiting := chart{Title: "Jobs that wait", X: "hours", Y: "jobs"}
	nodes := chart{Title: "Nodes with all GPUs free", X: "hours", Y: "nodes"}
	for _, p := range r.Policies {
		a, w, n := series{Name: p.Policy}, series{Name: p.Policy}, series{Name: p.Policy}
		for _, m := range p.Timeline {
			hours := float64(m.Seconds) / 3600
			a.Points = append(a.Points, point{hours, m.AllocatedPercent})
			w.Points = append(w.Points, point{hours, float64(m.WaitingJobs)})
			n.Points = append(n.Points, point{hours, float64(m.WholeNodes)})
		}
		allocated.Series, waiting.Series, nodes.Series = append(allocated.Series, a), append(waiting.Series, w), append(nodes.Series, n)
	}
	return reportPage{
		Title:  "Gangs on a cluster",
		Intro:  r.intro(),
		Charts: []chart{allocated, waiting, nodes, r.waits(), r.stretch(), r.usable()}, Tables: r.tables(),
	}
}

func (r *gangsResult) intro() string {
	reserve := "never reserves room"
	if after := time.Duration(r.ReserveAfterSeconds) * time.Second; after > 0 {
		reserve = fmt.Sprintf("reserves room for a job that has waited for %v", after)
	}
	return fmt.Sprintf("Jobs arrive, wait, run and leave. Lockstep %s; with other policies a job that does not fit lets younger ones pass for %v.",
		reserve, time.Duration(r.PatienceSeconds)*time.Second)
}

// waits is a chart of the mean waits by size, the last group being all jobs.
func (r *gangsResult) waits() chart {
	c := chart{Title: "Mean wait, by the GPUs that a job asks for", X: "GPUs", Y: "hours"}
	for _, p := range r.Policies {
		for i, class := range p.Waiting {
			c.add(p.Policy, i, class.GPUs, class.MeanSeconds/3600)
		}
	}
	return c
}

// stretch is a chart of how far gangs are spread, by level.
func (r *gangsResult) stretch() chart {
	c := chart{Title: "Domains of a gang, over the fewest on an empty cluster", X: "level", Y: "ratio"}
	for _, p := range r.Policies {
		for i, level := range p.Stretch {
			c.add(p.Policy, i, level.Level, level.MeanOverEmpty)
		}
	}
	return c
}

// usable is a chart of fragmentation: how much of what is free one gang can use.
func (r *gangsResult) usable() chart {
	c := chart{Title: "Free GPUs of the best domain that one gang could use", X: "GPUs of a pod", Y: "%"}
	for _, p := range r.Policies {
		for i, share := range p.Fragmentation.Usable {
			c.add(p.Policy, i, fmt.Sprint(share.GPUsPerPod), share.Percent)
		}
	}
	return c
}
