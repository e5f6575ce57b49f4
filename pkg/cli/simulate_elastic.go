package cli

import (
	"fmt"
	"math"
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/autoscale"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/sim"
	"lockstep.dev/lockstep/pkg/topology"
)

// elasticResult compares elastic jobs with jobs of a fixed size.
type elasticResult struct {
	Trace string `json:"trace"` // "elastic"
	// Which jobs are elastic: "trace" as the trace says, "all" of several Workers.
	Which string        `json:"which"`
	Terms elasticTerms  `json:"terms"`
	Loads []elasticLoad `json:"loads"`
}

// elasticLoad is one load: the trace as it is and, where it is replayed several times, how much
// the runs differ.
type elasticLoad struct {
	*sim.ElasticReport
	Ratios *spread `json:"goodput_ratios,omitempty"`
	// OthersPercent is how much longer all other jobs take beside elastic ones; 0: there are none.
	OthersPercent *spread              `json:"others_longer_percent,omitempty"`
	Runs          []*sim.ElasticReport `json:"runs,omitempty"`
}

// elasticTerms are what a change of size costs.
type elasticTerms struct {
	RestartSeconds    int64 `json:"restart_seconds"`
	CheckpointSeconds int64 `json:"checkpoint_seconds"`
	GraceSeconds      int64 `json:"grace_seconds"`
}

func (f *simulateFlags) simulateElastic(nodes []cluster.Node, levels []topology.Level, jobs []sim.Job) (simulation, error) {
	if f.elastic != "trace" && f.elastic != "all" {
		return nil, fmt.Errorf("--elastic: %q is neither trace nor all", f.elastic)
	}
	for _, load := range f.loads {
		if !(load > 0 && load <= 10) {
			return nil, fmt.Errorf("--loads: %v is not above 0 and at most 10", load)
		}
	}
	options, err := f.replay("lockstep")
	if err != nil {
		return nil, err
	}
	options.Recommender = autoscale.WaterFilling{}
	result := &elasticResult{
		Trace: "elastic", Which: f.elastic,
		Terms: elasticTerms{options.Costs.RestartSeconds, options.Costs.CheckpointSeconds, options.Costs.GraceSeconds},
	}
	runs := make([]*sim.ElasticReport, len(f.loads)*f.seeds)
	err = each(len(runs), func(i int) (err error) {
		load, nth := f.loads[i/f.seeds], i%f.seeds
		run := sim.ElasticOptions{Load: load, All: f.elastic == "all", Shaken: nth > 0, Replay: options}
		run.Replay.Seed += int64(nth)
		runs[i], err = sim.CompareElastic(nodes, levels, jobs, run)
		return err
	})
	if err != nil {
		return nil, err
	}
	for of := range slices.Chunk(runs, f.seeds) {
		result.Loads = append(result.Loads, sumUpElastic(of))
	}
	return result, nil
}

// sumUpElastic takes the first run as it is, and of several how much they differ.
func sumUpElastic(runs []*sim.ElasticReport) elasticLoad {
	if len(runs) == 1 {
		return elasticLoad{ElasticReport: runs[0]}
	}
	ratios, others := make([]float64, len(runs)), make([]float64, len(runs))
	for i, r := range runs {
		ratios[i] = r.GoodputRatio
		if alone := r.Fixed.OthersMeanSeconds; alone > 0 {
			others[i] = 100 * (r.Elastic.OthersMeanSeconds/alone - 1)
		}
	}
	ratio, other := spreadOf(ratios), spreadOf(others)
	return elasticLoad{ElasticReport: runs[0], Ratios: &ratio, OthersPercent: &other, Runs: runs}
}

func (r *elasticResult) tables() []reportTable {
	goodput := [][]string{{"LOAD", "ELASTIC JOBS", "SIZE", "GOODPUT %", "OVER FIXED", "MEAN TIME", "OTHERS' MEAN TIME", "ALLOCATED %"}}
	resizes := [][]string{{"LOAD", "RESIZES", "GROWN", "GAVE WAY", "MOVED ROOM", "LOST GPU HOURS"}}
	for _, l := range r.Loads {
		load := fixed(l.Load)
		row := func(size string, f sim.ElasticFigures, ratio float64) []string {
			return []string{
				load, fmt.Sprint(l.Jobs), size, fixed(f.GoodputPercent), fixed(ratio), span(f.MeanSeconds),
				span(f.OthersMeanSeconds), fixed(f.AllocatedPercent),
			}
		}
		goodput = append(goodput, row("fixed", l.Fixed, 1), row("elastic", l.Elastic, l.GoodputRatio))
		z := l.Elastic.Resizes
		resizes = append(resizes, []string{
			load, fmt.Sprint(z.Total), fmt.Sprint(z.Grown), fmt.Sprint(z.GaveWay), fmt.Sprint(z.Total - z.Grown - z.GaveWay), fixed(z.LostGPUHours),
		})
	}
	tables := []reportTable{{"Elastic jobs and the same jobs at the size that they ask for", goodput}, {"What the changes of size cost", resizes}}
	if runs := r.runs(); runs != nil {
		tables = append(tables, reportTable{"How much is chance: the same, and with submissions up to a minute later", runs})
	}
	return tables
}

// runs says how much the runs of a load differ; nil: there is one of each.
func (r *elasticResult) runs() [][]string {
	if r.Loads[0].Ratios == nil {
		return nil
	}
	rows := [][]string{{"LOAD", "RUNS", "OVER FIXED", "STANDARD ERROR", "LEAST", "MOST", "OTHERS TAKE LONGER %"}}
	for _, l := range r.Loads {
		n := len(l.Runs)
		rows = append(rows, []string{
			fixed(l.Load), fmt.Sprint(n), fixed(l.Ratios.Mean), fixed(l.Ratios.SD / math.Sqrt(float64(n))),
			fixed(l.Ratios.Min), fixed(l.Ratios.Max), fixed(l.OthersPercent.Mean),
		})
	}
	return rows
}

func (r *elasticResult) page() reportPage {
	goodput := chart{Title: "Goodput of elastic jobs", X: "load", Y: "%"}
	others := chart{Title: "Mean time of all other jobs", X: "load", Y: "hours from submission to end"}
	size := func(name string, figures func(elasticLoad) sim.ElasticFigures) {
		for i, l := range r.Loads {
			goodput.add(name, i, fixed(l.Load), figures(l).GoodputPercent)
			others.add(name, i, fixed(l.Load), figures(l).OthersMeanSeconds/3600)
		}
	}
	size("fixed", func(l elasticLoad) sim.ElasticFigures { return l.Fixed })
	size("elastic", func(l elasticLoad) sim.ElasticFigures { return l.Elastic })
	return reportPage{
		Title: "Elastic jobs",
		Intro: fmt.Sprintf("Each trace is replayed twice: with jobs that change their size, and with all at the size that they ask for. "+
			"A change of size costs %v and the work since the last checkpoint, of which there is one every %v.",
			time.Duration(r.Terms.RestartSeconds)*time.Second, time.Duration(r.Terms.CheckpointSeconds)*time.Second),
		Charts: []chart{goodput, others}, Tables: r.tables(),
	}
}
