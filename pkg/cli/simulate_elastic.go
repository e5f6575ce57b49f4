package cli

import (
	"fmt"
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
	Which string               `json:"which"`
	Terms elasticTerms         `json:"terms"`
	Loads []*sim.ElasticReport `json:"loads"`
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
		Trace: "elastic", Which: f.elastic, Loads: make([]*sim.ElasticReport, len(f.loads)),
		Terms: elasticTerms{options.Costs.RestartSeconds, options.Costs.CheckpointSeconds, options.Costs.GraceSeconds},
	}
	err = each(len(f.loads), func(i int) (err error) {
		result.Loads[i], err = sim.CompareElastic(nodes, levels, jobs, sim.ElasticOptions{
			Load: f.loads[i], All: f.elastic == "all", Replay: options,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
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
	return []reportTable{{"Elastic jobs and the same jobs at the size that they ask for", goodput}, {"What the changes of size cost", resizes}}
}

func (r *elasticResult) page() reportPage {
	goodput := chart{Title: "Goodput of elastic jobs", X: "load", Y: "%"}
	others := chart{Title: "Mean time of all other jobs", X: "load", Y: "hours from submission to end"}
	size := func(name string, figures func(*sim.ElasticReport) sim.ElasticFigures) {
		g, o := series{Name: name}, series{Name: name}
		for _, l := range r.Loads {
			g.Points = append(g.Points, point{l.Load, figures(l).GoodputPercent})
			o.Points = append(o.Points, point{l.Load, figures(l).OthersMeanSeconds / 3600})
		}
		goodput.Series, others.Series = append(goodput.Series, g), append(others.Series, o)
	}
	size("fixed", func(l *sim.ElasticReport) sim.ElasticFigures { return l.Fixed })
	size("elastic", func(l *sim.ElasticReport) sim.ElasticFigures { return l.Elastic })
	return reportPage{
		Title: "Elastic jobs",
		Intro: fmt.Sprintf("Each trace is replayed twice: with jobs that change their size, and with all at the size that they ask for. "+
			"A change of size costs %v and the work since the last checkpoint, of which there is one every %v.",
			time.Duration(r.Terms.RestartSeconds)*time.Second, time.Duration(r.Terms.CheckpointSeconds)*time.Second),
		Charts: []chart{goodput, others}, Tables: r.tables(),
	}
}
