package sim

import (
	"fmt"
	"math/rand"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// StarvationOptions describe a gang that comes to a cluster which jobs of one GPU keep
// full: whenever one ends, others wait for its GPU.
type StarvationOptions struct {
	// Load is the GPU time that the small jobs ask for, over what there is; above 1.
	Load float64
	// ReserveAfterSeconds is how long the gang waits before room is reserved for it.
	ReserveAfterSeconds int64
	// Hours is how long small jobs go on to come.
	Hours int
	Seed  int64
	// Stopped is as in ReplayOptions.
	Stopped func() error
}

// StarvationReport compares the two: without a reservation, and with one.
type StarvationReport struct {
	Load    float64           `json:"load"`
	Hours   int               `json:"hours"`
	Without StarvationFigures `json:"without_reservation"`
	With    StarvationFigures `json:"with_reservation"`
}

// StarvationFigures are those of one replay.
type StarvationFigures struct {
	// GangWaitSeconds is how long the gang waits, Starved that it starts only when no
	// more small jobs come.
	GangWaitSeconds int64 `json:"gang_wait_seconds"`
	Starved         bool  `json:"starved"`
	// ReservedSeconds is the part of it until room was reserved for the gang: those who
	// came before it have it first. 0: none was.
	ReservedSeconds int64 `json:"reserved_seconds"`
	// DrainSeconds is the rest. It is at most the longest run of a small job, which may
	// have just begun when nobody else was let in any more.
	DrainSeconds     int64   `json:"drain_seconds"`
	SmallMeanSeconds float64 `json:"small_mean_wait_seconds"`
	// AllocatedPercent is the GPU time held while jobs arrived.
	AllocatedPercent float64 `json:"allocated_percent"`
	// KeptPercent is the part that lay idle because it was reserved.
	KeptPercent float64 `json:"kept_percent"`
}

// The cluster of the scenario: two blocks of 64 GPUs, one of which the gang asks for as
// a whole, two hours after the first small job.
const (
	starvedNodes  = 16
	starvedBlock  = 8
	starvedGPUs   = 8
	starvedComes  = 2 * 3600
	smallShortest = 600
	smallLongest  = 3600
)

// Starvation replays the scenario with and without a reservation.
func Starvation(options StarvationOptions) (*StarvationReport, error) {
	if !(options.Load > 1 && options.Load <= 4) || options.Hours < 6 || options.Hours > 24*7 || options.ReserveAfterSeconds < 1 {
		return nil, fmt.Errorf("load has to be above 1 and at most 4, hours from 6 to 168, and the time to the reservation at least a second; they are %v, %d and %d",
			options.Load, options.Hours, options.ReserveAfterSeconds)
	}
	nodes, levels := starvedCluster()
	jobs := starvedJobs(options)
	report := &StarvationReport{Load: options.Load, Hours: options.Hours}
	for _, replay := range []struct {
		into  *StarvationFigures
		after int64
	}{{&report.Without, 0}, {&report.With, options.ReserveAfterSeconds}} {
		r, err := run(nodes, levels, jobs, ReplayOptions{Policy: "lockstep", ReserveAfterSeconds: replay.after, Stopped: options.Stopped})
		if err != nil {
			return nil, err
		}
		*replay.into = r.starvation(jobs[len(jobs)-1].SubmitSeconds)
	}
	return report, nil
}

func starvedCluster() ([]cluster.Node, []topology.Level) {
	var nodes []cluster.Node
	for i := range starvedNodes {
		all := cluster.Resources{}.Set(cluster.CPU, 128_000).Set(cluster.Memory, 1<<40).Set(cluster.Pods, podsPerNode).Set(gpus, starvedGPUs)
		nodes = append(nodes, cluster.Node{
			Name: fmt.Sprintf("n%02d", i), Labels: map[string]string{"block": fmt.Sprint(i / starvedBlock)}, Allocatable: all, Free: all.Clone(),
		})
	}
	return nodes, []topology.Level{{Name: "block", Key: "block"}}
}

// starvedJobs are small jobs that come as a Poisson process and run for ten minutes to
// an hour, and the gang.
func starvedJobs(options StarvationOptions) []Job {
	rng := rand.New(rand.NewSource(options.Seed))
	const total, mean = starvedNodes * starvedGPUs, (smallShortest + smallLongest) / 2
	small := Job{Workers: 1, MinWorkers: 1, MaxWorkers: 1, GPUsPerWorker: 1, CPUPerWorker: 1000, MemoryPerWorker: 1024}
	gang := small
	gang.Name, gang.SubmitSeconds, gang.DurationSeconds, gang.Required = "gang", starvedComes, 3600, "block"
	gang.Workers, gang.MinWorkers, gang.MaxWorkers, gang.GPUsPerWorker = starvedBlock, starvedBlock, starvedBlock, starvedGPUs
	var jobs []Job
	came := false
	for at := 0.0; at < float64(options.Hours)*3600; at += rng.ExpFloat64() * mean / (total * options.Load) {
		if at >= starvedComes && !came {
			jobs, came = append(jobs, gang), true
		}
		small.Name, small.SubmitSeconds = fmt.Sprintf("small-%d", len(jobs)), int64(at)
		small.DurationSeconds = smallShortest + rng.Int63n(smallLongest-smallShortest+1)
		jobs = append(jobs, small)
	}
	return jobs
}

// starvation sums up a replay in which the last small job came at the given time.
func (r *replay) starvation(last int64) StarvationFigures {
	report := r.record.report()
	f := StarvationFigures{AllocatedPercent: report.AllocatedPercent, KeptPercent: report.KeptPercent}
	small := 0
	for _, o := range r.record.outcomes {
		wait := o.started - o.SubmitSeconds
		if o.Workers > 1 {
			f.GangWaitSeconds, f.Starved = wait, o.started > last
			if o.reserved >= 0 {
				f.ReservedSeconds, f.DrainSeconds = o.reserved-o.SubmitSeconds, o.started-o.reserved
			}
			continue
		}
		small++
		f.SmallMeanSeconds += float64(wait)
	}
	f.SmallMeanSeconds /= float64(max(1, small))
	return f
}
