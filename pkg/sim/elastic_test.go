package sim

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lockstep.dev/lockstep/pkg/autoscale"
)

// elastic is a job that runs with one Worker of 8 GPUs, or two.
func elastic(name string, submit, duration int64) Job {
	j := job(name, submit, duration, 1, 8)
	j.MaxWorkers = 2
	return j
}

func elasticReplay(t fataler, racks int, jobs ...Job) *replay {
	nodes, levels := smallCluster(t, racks)
	r, err := run(nodes, levels, jobs, ReplayOptions{Policy: "lockstep", Recommender: autoscale.WaterFilling{}})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return r
}

// TestElasticGrows: after ten minutes, in which it made two checkpoints, the job takes
// the idle node. It stops for a minute and is 1.9 times as fast from then on.
func TestElasticGrows(t *testing.T) {
	r := elasticReplay(t, 1, elastic("e", 0, 7200))
	faster := 1 / (0.01 + 0.99/2 + 0.0002 + 0.02)
	want := 660 + int64(math.Ceil((7200-600)/faster))
	if got := r.record.report().MakespanSeconds; got != want {
		t.Errorf("it ends after %d s; want %d", got, want)
	}
	if got := r.record.rep.Resizes; got.Total != 1 || got.Grown != 1 || math.Abs(got.LostGPUHours-16*60./3600) > 1e-9 {
		t.Errorf("resizes %+v; want one, with 16 GPUs stopped for a minute", got)
	}
}

// TestElasticGrowsAfterACheckpoint: the job could grow when the other leaves, and waits for 200
// seconds more with that: it stops for a minute, and loses the half minute at most until it is
// looked at.
func TestElasticGrowsAfterACheckpoint(t *testing.T) {
	first := job("first", 0, 1000, 1, 8)
	r := elasticReplay(t, 1, first, elastic("e", 0, 7200))
	if got := r.record.rep.Resizes; got.Total != 1 || got.LostGPUHours < 16*60./3600 || got.LostGPUHours > 16*90./3600 {
		t.Errorf("resizes %+v; want one, with 16 GPUs stopped for a minute or a little more", got)
	}
}

// TestElasticGivesWay: a job that comes later gets the node back, after as much waiting
// as the restart costs and a minute's notice; the one that had grown goes on with the
// other node.
func TestElasticGivesWay(t *testing.T) {
	r := elasticReplay(t, 1, elastic("e", 0, 7200), job("late", 1000, 5000, 1, 8))
	fixed := elasticReplay(t, 1, job("e", 0, 7200, 1, 8), job("late", 1000, 5000, 1, 8))
	rep := r.record.report()
	// A restart takes a minute and what is unsaved: nearly nothing at second 1260, when the last
	// checkpoint is due and the job has waited for long enough.
	if wait := rep.Waiting[len(rep.Waiting)-1].MaxSeconds; wait < 260+60 || wait > 260+60+30 {
		t.Errorf("the late job waits %d s", wait)
	}
	if rep.Resizes.GaveWay != 1 || rep.JobsFinished != 2 {
		t.Errorf("%+v", rep.Resizes)
	}
	if late := fixed.record.report(); late.Resizes.Total != 0 || late.Waiting[0].MaxSeconds != 0 {
		t.Errorf("jobs of a fixed size were resized: %+v", late)
	}
}

// TestElasticStartsSmall: a job that does not fit at the asked size starts with fewer
// Workers, and grows when another leaves.
func TestElasticStartsSmall(t *testing.T) {
	e := job("e", 10, 7200, 2, 8)
	e.MinWorkers = 1
	r := elasticReplay(t, 1, job("first", 0, 3600, 1, 8), e)
	rep := r.record.report()
	if rep.Waiting[len(rep.Waiting)-1].MaxSeconds != 0 || rep.Resizes.Grown != 1 {
		t.Errorf("waits %+v, resizes %+v", rep.Waiting, rep.Resizes)
	}
}

// TestElasticJobsShare: a job that can start with one of its two Workers waits until that has cost
// a quarter of what another such is expected to lose, which has both nodes, and not until it has
// ended: each has one of them then.
func TestElasticJobsShare(t *testing.T) {
	first, second := job("first", 0, 72000, 2, 8), job("second", 10000, 7200, 2, 8)
	first.MinWorkers, second.MinWorkers = 1, 1
	// One Worker is 47 % slower than two, for as long again as the job has run: 12 % of 10,000 s and
	// the wait.
	for _, tt := range []struct {
		name   string
		change func()
		least  int64 // that the second waits
	}{
		{"as important", func() {}, 1348 + 60},
		{"less important", func() { first.Priority = 1 }, 62000},
	} {
		tt.change()
		rep := elasticReplay(t, 1, first, second).record.report()
		if wait := rep.Waiting[len(rep.Waiting)-1].MaxSeconds; wait < tt.least || wait > tt.least+60+60 {
			t.Errorf("%s: it waits %d s, want %d or a little more", tt.name, wait, tt.least)
		}
	}
}

// TestElasticEnds: whatever comes, every job ends, nothing stays booked, and the same
// replay gives the same report.
func TestElasticEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var jobs []Job
		at := int64(0)
		for i := range rapid.IntRange(1, 20).Draw(t, "jobs") {
			at += rapid.Int64Range(0, 900).Draw(t, "gap")
			j := job(fmt.Sprint(i), at, rapid.Int64Range(1, 20000).Draw(t, "duration"),
				rapid.IntRange(1, 4).Draw(t, "workers"), rapid.Int64Range(1, 8).Draw(t, "gpus"))
			j.MinWorkers = rapid.IntRange(1, j.Workers).Draw(t, "min")
			j.MaxWorkers = rapid.IntRange(j.Workers, 8).Draw(t, "max")
			j.Priority = rapid.IntRange(0, 1).Draw(t, "priority")
			j.Required = rapid.SampledFrom([]string{"", "block"}).Draw(t, "required")
			j.MasterCPU = rapid.SampledFrom([]int64{0, 4000}).Draw(t, "master")
			jobs = append(jobs, j)
		}
		r := elasticReplay(t, 3, jobs...)
		rep := r.record.report()
		if rep.JobsFinished != len(jobs) || r.machine.free != r.machine.total {
			t.Fatalf("%d of %d jobs finished, %d of %d GPUs free", rep.JobsFinished, len(jobs), r.machine.free, r.machine.total)
		}
		again := elasticReplay(t, 3, jobs...)
		if other := again.record.report(); !reflect.DeepEqual(rep, other) {
			t.Fatalf("%+v, then %+v", rep, other)
		}
	})
}

func TestCompareElastic(t *testing.T) {
	nodes, levels := smallCluster(t, 1)
	options := ElasticOptions{Replay: ReplayOptions{Recommender: autoscale.WaterFilling{}}}
	r, err := CompareElastic(nodes, levels, []Job{elastic("e", 0, 7200), job("f", 8000, 10, 1, 1)}, options)
	if err != nil {
		t.Fatal(err)
	}
	if r.Jobs != 1 || r.Fixed.GoodputPercent != 100 || math.Abs(r.GoodputRatio-7200./4126) > 0.01 || r.Fixed.OthersMeanSeconds != 10 {
		t.Errorf("%+v", r)
	}
	if _, err := CompareElastic(nodes, levels, []Job{job("f", 0, 10, 1, 1)}, options); err == nil || !strings.Contains(err.Error(), "max_workers") {
		t.Errorf("error %v does not say what makes a job elastic", err)
	}
	options.All = true
	if r, err := CompareElastic(nodes, levels, []Job{job("f", 0, 10, 2, 1), job("g", 20, 10, 2, 1)}, options); err != nil || r.Jobs != 2 {
		t.Errorf("%+v, %v: all jobs of two Workers are elastic", r, err)
	}
	_, err = Replay(nodes, levels, []Job{elastic("e", 0, 1)}, ReplayOptions{Policy: "fgd", Recommender: autoscale.WaterFilling{}})
	if err == nil || !strings.Contains(err.Error(), `"fgd"`) {
		t.Errorf("error %v: other policies change no sizes", err)
	}
}

// TestShaken: the same seed has every job submitted as much later, by less than a minute, and in order.
func TestShaken(t *testing.T) {
	jobs := make([]Job, 100)
	for i := range jobs {
		jobs[i] = job(fmt.Sprint(i), int64(20*i), 10, 1, 1)
	}
	got := shaken(jobs, 7)
	moved := 0
	for i, j := range got {
		n, _ := strconv.Atoi(j.Name)
		later := j.SubmitSeconds - jobs[n].SubmitSeconds
		if later < 0 || later >= 60 {
			t.Errorf("job %d comes %d s later", n, later)
		}
		if later > 0 {
			moved++
		}
		if i > 0 && j.SubmitSeconds < got[i-1].SubmitSeconds {
			t.Errorf("job %d comes before the one ahead of it", n)
		}
	}
	if moved < 80 || !reflect.DeepEqual(got, shaken(jobs, 7)) || reflect.DeepEqual(got, shaken(jobs, 8)) {
		t.Errorf("%d of 100 moved; the same seed gives the same, and another one other submissions", moved)
	}
}

// TestElasticOnTheTrace: with the jobs that the trace says are elastic, at a load that leaves
// something idle, and with all jobs of several Workers at one at which somebody waits most of the
// time. The others take no longer, but for what a replay varies by: one start that comes later
// moves all after it.
func TestElasticOnTheTrace(t *testing.T) {
	nodes, levels, err := ReadCluster(openTrace(t, "synth", "cluster_128.csv"), Table{})
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := ReadJobs(openTrace(t, "synth", "gangs_128nodes.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		load  float64
		all   bool
		least float64
	}{{0.7, false, 1.4}, {1, false, 1.25}, {1, true, 1.5}} {
		r, err := CompareElastic(nodes, levels, jobs, ElasticOptions{
			Load: tt.load, All: tt.all, Replay: ReplayOptions{Recommender: autoscale.WaterFilling{}, ReserveAfterSeconds: 600},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("load %.2f, all %v: goodput %.1f %%, fixed %.1f %%", tt.load, tt.all, r.Elastic.GoodputPercent, r.Fixed.GoodputPercent)
		if r.GoodputRatio < tt.least || r.Elastic.OthersMeanSeconds > 1.01*r.Fixed.OthersMeanSeconds {
			t.Errorf("%+v", r)
		}
	}
}
