package sim

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// smallCluster is racks of two nodes of 8 GPUs, two racks to a block.
func smallCluster(t fataler, racks int) ([]cluster.Node, []topology.Level) {
	table := "node,block,rack,gpu,cpu_milli,memory_mib\n"
	for r := range racks {
		for n := range 2 {
			table += fmt.Sprintf("r%d-n%d,b%d,r%d,8,64000,100000\n", r, n, r/2, r)
		}
	}
	nodes, levels, err := ReadCluster(tableOf(table), Table{})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return nodes, levels
}

type fataler interface {
	Fatalf(format string, args ...any)
}

func job(name string, submit, duration int64, workers int, gpusEach int64) Job {
	return Job{
		Name: name, SubmitSeconds: submit, DurationSeconds: duration,
		Workers: workers, MinWorkers: workers, MaxWorkers: workers,
		GPUsPerWorker: gpusEach, CPUPerWorker: 1000, MemoryPerWorker: 100,
	}
}

func TestReplay(t *testing.T) {
	nodes, levels := smallCluster(t, 1)
	tests := []struct {
		name     string
		jobs     []Job
		patience int64
		waits    map[string]int64 // longest, by size
		makespan int64
	}{
		{"one after the other", []Job{job("a", 10, 100, 2, 8), job("b", 20, 100, 2, 8)}, 1 << 40,
			map[string]int64{"9-31": 90}, 200},
		{"a small job passes a large one that is patient",
			[]Job{job("a", 0, 100, 1, 8), job("b", 10, 50, 2, 8), job("c", 20, 200, 1, 8)}, 1 << 40,
			map[string]int64{"9-31": 210, "8": 0}, 270},
		{"it does not pass one that is not",
			[]Job{job("a", 0, 100, 1, 8), job("b", 10, 50, 2, 8), job("c", 20, 200, 1, 8)}, 0,
			map[string]int64{"9-31": 90, "8": 130}, 350},
		{"priority before age",
			[]Job{job("a", 0, 100, 2, 8), job("b", 10, 50, 2, 8), func() Job { j := job("c", 20, 50, 2, 4); j.Priority = 1; return j }()}, 0,
			map[string]int64{"9-31": 140, "8": 80}, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Replay(nodes, levels, tt.jobs, ReplayOptions{Policy: "best-fit", PatienceSeconds: tt.patience})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]int64{}
			for _, class := range r.Waiting {
				if class.GPUs != "all" {
					got[class.GPUs] = class.MaxSeconds
				}
			}
			if !reflect.DeepEqual(got, tt.waits) || r.MakespanSeconds != tt.makespan {
				t.Errorf("longest waits %v, makespan %d; want %v, %d", got, r.MakespanSeconds, tt.waits, tt.makespan)
			}
		})
	}
}

func TestReplayCountsWork(t *testing.T) {
	nodes, levels := smallCluster(t, 1)
	failing := job("fails", 0, 100, 1, 8)
	failing.FailsAt = 0.5
	jobs := []Job{failing, job("a", 0, 100, 1, 8), job("huge", 50, 1, 9, 8), job("late", 100, 1, 1, 1)}
	r, err := Replay(nodes, levels, jobs, ReplayOptions{Policy: "lockstep"})
	if err != nil {
		t.Fatal(err)
	}
	if r.JobsFinished != 2 || r.JobsFailed != 1 || r.JobsNeverFit != 1 {
		t.Errorf("finished %d, failed %d, never fit %d", r.JobsFinished, r.JobsFailed, r.JobsNeverFit)
	}
	if r.AllocatedPercent != 75 || r.UsefulPercent != 50 {
		t.Errorf("allocated %v %%, useful %v %%; want 75 and 50", r.AllocatedPercent, r.UsefulPercent)
	}
}

// An eviction costs the work since the last checkpoint, and a restart once the job has room
// again; neither is of use to anybody.
func TestReplayPaysForAnEviction(t *testing.T) {
	nodes, levels := smallCluster(t, 1)
	urgent := job("urgent", 450, 100, 2, 8)
	urgent.Priority = 50
	jobs := []Job{job("long", 0, 1000, 2, 8), urgent, job("last", 2000, 1, 1, 8)}
	for _, tt := range []struct {
		costs  Costs
		ends   int64 // of the long one
		useful float64
		lost   float64 // GPU seconds
	}{
		{Costs{RestartSeconds: 0, CheckpointSeconds: 300}, 1250, 55, 150 * 16},
		{Costs{RestartSeconds: 60, CheckpointSeconds: 300}, 1310, 55, 210 * 16},
		{Costs{RestartSeconds: 500, CheckpointSeconds: 450}, 1600, 55, 500 * 16},
	} {
		r, err := Replay(nodes, levels, jobs, ReplayOptions{Policy: "lockstep", Preemption: true, Costs: tt.costs})
		if err != nil {
			t.Fatal(err)
		}
		if want := 100 * float64(tt.ends) / 2000; math.Abs(r.AllocatedPercent-want) > 0.01 {
			t.Errorf("%+v: allocated %v %%, want %v %%: the long one ends at %d", tt.costs, r.AllocatedPercent, want, tt.ends)
		}
		if math.Abs(r.UsefulPercent-tt.useful) > 0.01 || math.Abs(r.Preempted.LostGPUHours*3600-tt.lost) > 1 {
			t.Errorf("%+v: useful %v %%, %v GPU hours lost", tt.costs, r.UsefulPercent, r.Preempted.LostGPUHours)
		}
	}
}

// Of less than a hundred waits 99 % are all of them.
func TestWaitsByRank(t *testing.T) {
	for _, tt := range []struct{ n, p50, p99 int64 }{{1, 1, 1}, {3, 2, 3}, {100, 50, 99}, {101, 51, 100}, {200, 100, 198}} {
		waits := make([]wait, tt.n)
		for i := range waits {
			waits[i].waited = tt.n - int64(i)
		}
		if c := sizeClass("all", waits); c.P50Seconds != tt.p50 || c.P99Seconds != tt.p99 {
			t.Errorf("of 1 to %d: p50 %d, p99 %d; want %d and %d", tt.n, c.P50Seconds, c.P99Seconds, tt.p50, tt.p99)
		}
	}
}

// TestReplayHoldsLevels: a required block is kept by every policy.
func TestReplayHoldsLevels(t *testing.T) {
	nodes, levels := smallCluster(t, 4)
	j := job("a", 0, 10, 4, 8)
	j.Required, j.Preferred = "block", "rack"
	for _, policy := range Policies {
		r, err := Replay(nodes, levels, []Job{job("first", 0, 5, 1, 8), j}, ReplayOptions{Policy: policy, Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Stretch[0]; got.Level != "block" || got.MeanDomains != 1 {
			t.Errorf("%s: %+v", policy, got)
		}
	}
	j.Required = "row"
	if _, err := Replay(nodes, levels, []Job{j}, ReplayOptions{Policy: "lockstep"}); err == nil ||
		!strings.Contains(err.Error(), "row") || !strings.Contains(err.Error(), "cluster, block, rack, host") {
		t.Errorf("error %v does not name the level that is missing and those there are", err)
	}
	if _, err := Replay(nodes, levels, []Job{job("a", 0, 1, 1, 1)}, ReplayOptions{Policy: "magic"}); err == nil ||
		!strings.Contains(err.Error(), "best-fit") {
		t.Errorf("error %v does not name the policies", err)
	}
}

// TestReplayEnds: every job runs once, whatever the policy and the patience, and
// the same replay gives the same report.
func TestReplayEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes, levels := smallCluster(t, 3)
		var jobs []Job
		at := int64(0)
		for i := range rapid.IntRange(1, 25).Draw(t, "jobs") {
			at += rapid.Int64Range(0, 20).Draw(t, "gap")
			j := job(fmt.Sprint(i), at, rapid.Int64Range(1, 100).Draw(t, "duration"),
				rapid.IntRange(1, 7).Draw(t, "workers"), rapid.Int64Range(0, 9).Draw(t, "gpus"))
			j.Priority = rapid.IntRange(0, 1).Draw(t, "priority")
			j.Required = rapid.SampledFrom([]string{"", "block", "rack"}).Draw(t, "required")
			j.MasterCPU = rapid.SampledFrom([]int64{0, 4000}).Draw(t, "master")
			jobs = append(jobs, j)
		}
		options := ReplayOptions{
			Policy:          rapid.SampledFrom(Policies).Draw(t, "policy"),
			PatienceSeconds: rapid.SampledFrom([]int64{0, 50, 1 << 40}).Draw(t, "patience"), Seed: 1,
		}
		r, err := Replay(nodes, levels, jobs, options)
		if err != nil {
			t.Fatalf("%v", err)
		}
		if r.JobsFinished+r.JobsFailed+r.JobsNeverFit != len(jobs) {
			t.Fatalf("%d jobs: %+v", len(jobs), r)
		}
		if again, _ := Replay(nodes, levels, jobs, options); !reflect.DeepEqual(r, again) {
			t.Fatalf("%+v, then %+v", r, again)
		}
	})
}

// TestReplayOfTheTrace: planned as a whole, gangs of a busy cluster are spread less
// than pod by pod, and no job waits for ever.
func TestReplayOfTheTrace(t *testing.T) {
	nodes, levels, err := ReadCluster(openTrace(t, "synth", "cluster_128.csv"), Table{})
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := ReadJobs(openTrace(t, "synth", "gangs_128nodes.csv"))
	if err != nil {
		t.Fatal(err)
	}
	stretch := map[string]float64{}
	for _, policy := range []string{"lockstep", "best-fit"} {
		r, err := Replay(nodes, levels, jobs, ReplayOptions{Policy: policy, PatienceSeconds: 3600, ReserveAfterSeconds: 600})
		if err != nil {
			t.Fatal(err)
		}
		if r.JobsFinished+r.JobsFailed != 4000 {
			t.Errorf("%s: %d finished, %d failed", policy, r.JobsFinished, r.JobsFailed)
		}
		stretch[policy] = r.Stretch[2].MeanDomains
		all := r.Waiting[len(r.Waiting)-1]
		t.Logf("%s: %.1f %% allocated, mean wait %.0f s, %.2f racks a gang", policy, r.AllocatedPercent, all.MeanSeconds, stretch[policy])
	}
	if stretch["lockstep"] > 0.7*stretch["best-fit"] {
		t.Errorf("racks per gang: %.2f planned whole, %.2f pod by pod", stretch["lockstep"], stretch["best-fit"])
	}
}

func TestReadClusterWithPlaces(t *testing.T) {
	nodes, levels, err := ReadCluster(
		tableOf("sn,cpu_milli,memory_mib,gpu,model\nb,1,1,8,T4\na,1,1,8,T4\n"),
		tableOf("node,zone,block,rack\na,z,b0,r0\nb,z,b0,r1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(levels) != 3 || nodes[0].Name != "a" || nodes[1].Labels["rack"] != "r1" {
		t.Errorf("levels %v, nodes %v", levels, nodes)
	}
	_, _, err = ReadCluster(tableOf("node,cpu_milli,memory_mib,gpu\na,1,1,8\n"), Table{"places.csv", strings.NewReader("node,rack\nx,r0\n")})
	if err == nil || !strings.Contains(err.Error(), "places.csv: line 2") || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("error %v does not name the node that is not there", err)
	}
}

func TestReplayStops(t *testing.T) {
	nodes, levels := smallCluster(t, 1)
	asked, why := 0, errors.New("enough")
	_, err := Replay(nodes, levels, []Job{job("first", 0, 5, 1, 8), job("second", 100, 5, 1, 8)}, ReplayOptions{Policy: "lockstep", Stopped: func() error {
		if asked++; asked > 2 {
			return why
		}
		return nil
	}})
	if !errors.Is(err, why) || !strings.Contains(err.Error(), "stopped at second 5 of the trace") {
		t.Errorf("a replay that is stopped says %v", err)
	}
}
