package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// ElasticOptions say how elastic jobs are compared with such of a fixed size.
type ElasticOptions struct {
	// Load is the GPU time that the jobs ask for, over what there is while they arrive:
	// their arrivals are drawn together or apart until it is that. 0 leaves them.
	Load float64
	// Shaken has every job submitted up to a minute later, drawn by the replay's Seed. All that
	// follows comes differently then, and several seeds tell how much of a figure is chance.
	Shaken bool
	// All lets every job of two Workers or more run with half and twice as many as it
	// asks for, whatever the trace says.
	All bool
	// Replay says the rest; its Policy is not used, and its Recommender in one replay only.
	Replay ReplayOptions
}

// ElasticReport compares two replays of one trace: with elastic jobs, and with all of
// them at the size that they ask for.
type ElasticReport struct {
	Load float64 `json:"load"`
	// Jobs is the number of elastic jobs that succeed.
	Jobs    int            `json:"jobs"`
	Fixed   ElasticFigures `json:"fixed"`
	Elastic ElasticFigures `json:"elastic"`
	// GoodputRatio is that of the elastic over that of the fixed.
	GoodputRatio float64 `json:"goodput_ratio"`
}

// ElasticFigures are those of one replay.
type ElasticFigures struct {
	// GoodputPercent is of the elastic jobs that succeed, all together: their work (GPU
	// time at the size that they ask for), over as many GPUs times the time from their
	// submission to their end. 100 is a job that starts at once and keeps its size.
	GoodputPercent float64 `json:"goodput_percent"`
	// MeanSeconds is from submission to end, OthersMeanSeconds that of all other jobs.
	MeanSeconds       float64 `json:"mean_seconds"`
	OthersMeanSeconds float64 `json:"others_mean_seconds"`
	AllocatedPercent  float64 `json:"allocated_percent"`
	Resizes           Resizes `json:"resizes"`
}

// CompareElastic replays a trace twice with the policy lockstep, once with elastic
// jobs and once without.
func CompareElastic(nodes []cluster.Node, levels []topology.Level, jobs []Job, options ElasticOptions) (*ElasticReport, error) {
	jobs = slices.Clone(jobs)
	if options.All {
		for i := range jobs {
			if n := jobs[i].Workers; n > 1 {
				jobs[i].MinWorkers, jobs[i].MaxWorkers = n/2, 2*n
			}
		}
	}
	if !slices.ContainsFunc(jobs, func(j Job) bool { return j.Elastic() }) {
		return nil, fmt.Errorf("no job is elastic: in none is min_workers below max_workers")
	}
	if options.Shaken {
		jobs = shaken(jobs, options.Replay.Seed)
	}
	jobs = stretched(nodes, jobs, options.Load)
	report := &ElasticReport{Load: options.Load}
	if report.Load == 0 {
		report.Load = LoadOf(nodes, jobs)
	}
	replay := options.Replay
	replay.Policy, replay.Recommender = "lockstep", nil
	fixed, err := run(nodes, levels, jobs, replay)
	if err != nil {
		return nil, err
	}
	replay.Recommender = options.Replay.Recommender
	elastic, err := run(nodes, levels, jobs, replay)
	if err != nil {
		return nil, err
	}
	report.Jobs, report.Fixed = fixed.figures()
	_, report.Elastic = elastic.figures()
	report.GoodputRatio = report.Elastic.GoodputPercent / report.Fixed.GoodputPercent
	return report, nil
}

// LoadOf is the GPU time that jobs ask for, over what the nodes have from the first
// submission to the last.
func LoadOf(nodes []cluster.Node, jobs []Job) float64 {
	asked, total := int64(0), int64(0)
	for i := range jobs {
		asked += jobs[i].GPUs() * jobs[i].RunSeconds()
	}
	for i := range nodes {
		total += nodes[i].Allocatable.Get(gpus)
	}
	return float64(asked) / float64(max(1, total*(jobs[len(jobs)-1].SubmitSeconds-jobs[0].SubmitSeconds)))
}

// stretched are the jobs with arrivals drawn together or apart so that they ask for a
// load; 0 leaves them.
func stretched(nodes []cluster.Node, jobs []Job, load float64) []Job {
	if load == 0 || len(jobs) == 0 {
		return jobs
	}
	jobs = slices.Clone(jobs)
	first, factor := jobs[0].SubmitSeconds, LoadOf(nodes, jobs)/load
	for i := range jobs {
		jobs[i].SubmitSeconds = first + int64(factor*float64(jobs[i].SubmitSeconds-first))
	}
	return jobs
}

// shaken are the jobs, each submitted up to a minute later, in the order in which they come then.
func shaken(jobs []Job, seed int64) []Job {
	jobs = slices.Clone(jobs)
	draw := rand.New(rand.NewPCG(uint64(seed), 0))
	for i := range jobs {
		jobs[i].SubmitSeconds += draw.Int64N(60)
	}
	slices.SortStableFunc(jobs, func(a, b Job) int { return cmp.Compare(a.SubmitSeconds, b.SubmitSeconds) })
	return jobs
}

// figures sums up a replay, and says how many elastic jobs succeeded.
func (r *replay) figures() (int, ElasticFigures) {
	rep := r.record.report()
	f := ElasticFigures{AllocatedPercent: rep.AllocatedPercent, Resizes: rep.Resizes}
	jobs, others := 0, 0
	work, spent := 0.0, 0.0
	for _, o := range r.record.outcomes {
		took := float64(o.ended - o.SubmitSeconds)
		if !o.Elastic() {
			others++
			f.OthersMeanSeconds += took
			continue
		}
		jobs++
		f.MeanSeconds += took
		work += float64(o.GPUs() * o.DurationSeconds)
		spent += float64(o.GPUs()) * took
	}
	f.MeanSeconds /= float64(max(1, jobs))
	f.OthersMeanSeconds /= float64(max(1, others))
	f.GoodputPercent = 100 * work / max(1, spent)
	return jobs, f
}
