package bench

import (
	"context"
	"fmt"
	"path/filepath"

	"lockstep.dev/lockstep/pkg/autoscale"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/sim"
	"lockstep.dev/lockstep/pkg/topology"
)

// fixedSize is Lockstep without the recommender: every job keeps the size it asks for.
const fixedSize = "fixed-size"

// measureElastic is the scenario "elastic": a trace of gangs replayed in this process,
// once with elastic jobs that follow the recommender and once with none, at several loads;
// first with the jobs that are elastic in the trace, then with all of several Workers.
func measureElastic(ctx context.Context, s Settings, report *Report) error {
	nodes, levels, jobs, err := readGangs(s.Traces)
	if err != nil {
		return s.withoutTrace(report, err)
	}
	loads := []float64{0.7, 0.95, 1.2}
	if s.Quick {
		loads = loads[:1]
	}
	for _, all := range []bool{false, true} {
		for _, load := range loads {
			if err := ctx.Err(); err != nil {
				return err
			}
			name := fmt.Sprintf("load %.2f, elastic as in the trace", load)
			if all {
				name = fmt.Sprintf("load %.2f, all of several Workers elastic", load)
			}
			s.Log(name)
			r, err := sim.CompareElastic(nodes, levels, jobs, sim.ElasticOptions{
				Load: load, All: all, Replay: sim.ReplayOptions{Recommender: autoscale.WaterFilling{}, ReserveAfterSeconds: 600},
			})
			if err != nil {
				return err
			}
			report.Settings["nodes"] = len(nodes)
			report.Runs = append(report.Runs,
				Run{name, Lockstep, "goodput_percent", 1, r.Elastic.GoodputPercent},
				Run{name, fixedSize, "goodput_percent", 1, r.Fixed.GoodputPercent},
				Run{name, Lockstep, "others_mean_seconds", 1, r.Elastic.OthersMeanSeconds},
				Run{name, fixedSize, "others_mean_seconds", 1, r.Fixed.OthersMeanSeconds})
		}
	}
	return nil
}

// readGangs reads the trace of gangs under a directory of traces.
func readGangs(dir string) (nodes []cluster.Node, levels []topology.Level, jobs []sim.Job, err error) {
	err = withTables(filepath.Join(dir, "synth"), func(tables []sim.Table) (err error) {
		if nodes, levels, err = sim.ReadCluster(tables[0], sim.Table{}); err == nil {
			jobs, err = sim.ReadJobs(tables[1])
		}
		return err
	}, "cluster_128.csv", "gangs_128nodes.csv")
	return nodes, levels, jobs, err
}
