package sim

import (
	"fmt"
	"math"
	"testing"

	"lockstep.dev/lockstep/pkg/quota"
)

var threeQueues = []quota.Queue{{Name: "a", Weight: 1}, {Name: "b", Weight: 2}, {Name: "c", Weight: 5}}

// Queues that always have jobs that wait get what is fair, within 5 %.
func TestReplaySharesByWeight(t *testing.T) {
	nodes, levels := smallCluster(t, 2)
	var jobs []Job
	for i := range 1500 {
		jobs = append(jobs, job(fmt.Sprint("j", i), int64(i)*100, 4000, 1+i/3%2, 2))
	}
	r, err := Replay(nodes, levels, jobs, ReplayOptions{Policy: "lockstep", Queues: threeQueues})
	if err != nil {
		t.Fatal(err)
	}
	wantFair(t, r, 5)
	if _, err := Replay(nodes, levels, jobs, ReplayOptions{Policy: "fgd", Queues: threeQueues}); err == nil {
		t.Error("fgd knows of queues")
	}
}

// On the week of the made-up trace, as it is and at more than there is, every queue has what
// is fair within 5 %, when others' jobs are ended for that. One start that comes later moves all
// that come after it: between the two it is within 6 %.
func TestReplaySharesOfTheTrace(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute of replays, and -short was given")
	}
	nodes, levels, err := ReadCluster(openTrace(t, "synth", "cluster_128.csv"), Table{})
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := ReadJobs(openTrace(t, "synth", "gangs_128nodes.csv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ load, within float64 }{{0, 5}, {0.95, 6}, {1.2, 5}} {
		r, err := Replay(nodes, levels, jobs, ReplayOptions{
			Policy: "lockstep", Queues: threeQueues, Load: tt.load, ReserveAfterSeconds: 600, ReclaimAfterSeconds: 600, Preemption: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		wantFair(t, r, tt.within)
	}
}

// wantFair: every queue has what is fair, within some percent.
func wantFair(t *testing.T, r *ReplayReport, within float64) {
	t.Helper()
	for _, q := range r.Queues {
		if math.Abs(*q.OfFairPercent-100) > within {
			t.Errorf("queue %s of weight %d borrowed %.0f GPU hours while somebody waited, %.1f %% of what is fair", q.Queue, q.Weight, q.BorrowedGPUHours, *q.OfFairPercent)
		}
	}
}

// What is fair is told apart from what is not: a queue whose job waits behind those of
// another has less, by just as much; what is guaranteed is not borrowed.
func TestReplayTellsUnfair(t *testing.T) {
	nodes, levels := smallCluster(t, 1) // 16 GPUs
	early, late, last := job("early", 0, 3600, 2, 8), job("late", 0, 3600, 1, 8), job("last", 3600, 1, 1, 8)
	early.Queue, late.Queue, last.Queue = "a", "b", "b"
	for _, tt := range []struct {
		guaranteed   int64
		borrows, due [2]float64
	}{
		{0, [2]float64{16, 0}, [2]float64{8, 8}},
		{8, [2]float64{8, 0}, [2]float64{8, 0}}, // b waits for what it is guaranteed
	} {
		queues := []quota.Queue{{Name: "a"}, {Name: "b"}}
		for i := range queues {
			queues[i].Guaranteed = queues[i].Guaranteed.Set(gpus, tt.guaranteed)
		}
		r, err := Replay(nodes, levels, []Job{early, late, last}, ReplayOptions{Policy: "lockstep", Queues: queues})
		if err != nil {
			t.Fatal(err)
		}
		for i, q := range r.Queues {
			if q.BorrowedGPUHours != tt.borrows[i] || q.FairGPUHours < tt.due[i]-0.01 || q.FairGPUHours > tt.due[i]+0.01 {
				t.Errorf("%d guaranteed: %+v, want %v GPU hours of %v", tt.guaranteed, q, tt.borrows[i], tt.due[i])
			}
			if due := tt.due[i] > 0; due != (q.OfFairPercent != nil) {
				t.Errorf("%d guaranteed: %+v: a share of what is fair where nothing is, or none", tt.guaranteed, q)
			}
		}
	}
}
