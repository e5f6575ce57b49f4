package bench

import (
	"context"
	"fmt"
	"os"
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
	delete(report.Settings, "repeat")
	nodes, levels, jobs, err := readGangs(s.Traces)
	if err != nil {
		report.note("elastic is left out: %v; --traces says where the trace lies", err)
		return nil
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
func readGangs(dir string) ([]cluster.Node, []topology.Level, []sim.Job, error) {
	var files [2]*os.File
	for i, name := range []string{"cluster_128.csv", "gangs_128nodes.csv"} {
		file, err := os.Open(filepath.Join(dir, "synth", name))
		if err != nil {
			return nil, nil, nil, err
		}
		defer file.Close()
		files[i] = file
	}
	nodes, levels, err := sim.ReadCluster(files[0], nil)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", dir, err)
	}
	jobs, err := sim.ReadJobs(files[1])
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", dir, err)
	}
	return nodes, levels, jobs, nil
}
