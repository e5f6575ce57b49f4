package backfill_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"lockstep.dev/lockstep/pkg/backfill"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/topology"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const gpu = 4 // the first extended resource

func gpus(n int64) cluster.Resources { return cluster.Resources(nil).Set(cluster.Pods, 1).Set(gpu, n) }

// racks makes an index of nodes of 8 GPUs, so many to a rack, with what is free on each.
func racks(perRack int, free ...int64) *placement.Index {
	nodes := make([]cluster.Node, len(free))
	for i := range nodes {
		nodes[i] = cluster.Node{
			Name: string(rune('a' + i)), Labels: map[string]string{"rack": string(rune('A' + i/perRack))},
			Allocatable: cluster.Resources(nil).Set(cluster.Pods, 110).Set(gpu, 8),
			Free:        cluster.Resources(nil).Set(cluster.Pods, 110).Set(gpu, free[i]),
		}
	}
	return placement.NewIndex(nodes, topology.Build([]topology.Level{{Name: "rack", Key: "rack"}}, nodes))
}

func held(node int, n int64, minutes int) backfill.Tenancy {
	return backfill.Tenancy{Node: node, Amounts: gpus(n), Until: start.Add(time.Duration(minutes) * time.Minute)}
}

func gangOf(count int, each int64, required int) placement.Request {
	return placement.Request{Classes: []placement.Class{{Requests: gpus(each), Count: count}}, Required: required}
}

func TestShadow(t *testing.T) {
	tests := []struct {
		name    string
		index   *placement.Index
		request placement.Request
		held    []backfill.Tenancy
		minutes int // -1: fits now, -2: never
		nodes   []int
	}{
		{"fits now", racks(2, 8, 0), gangOf(1, 8, 0), []backfill.Tenancy{held(1, 8, 5)}, -1, []int{0}},
		{"waits for the first that is enough", racks(2, 0, 0), gangOf(1, 8, 0),
			[]backfill.Tenancy{held(0, 8, 30), held(1, 8, 10)}, 10, []int{1}},
		{"pieces of two nodes are no slot", racks(2, 0, 0), gangOf(1, 8, 0),
			[]backfill.Tenancy{held(0, 4, 1), held(1, 4, 2), held(1, 4, 9), held(0, 4, 20)}, 9, []int{1}},
		{"a rack that is free later beats nodes of two racks that are free sooner", racks(2, 0, 0, 0, 0), gangOf(2, 8, 1),
			[]backfill.Tenancy{held(0, 8, 1), held(2, 8, 2), held(3, 8, 40), held(1, 8, 50)}, 40, []int{2, 3}},
		{"what is free counts", racks(2, 6, 8), gangOf(2, 8, 0), []backfill.Tenancy{held(0, 2, 3)}, 3, []int{0, 1}},
		{"never", racks(2, 0, 0), gangOf(3, 8, 0), []backfill.Tenancy{held(0, 8, 3), held(1, 8, 3)}, -2, nil},
	}
	for _, tt := range tests {
		plan, at, rejection := backfill.Shadow(tt.index, tt.request, tt.held)
		if rejection != nil {
			if tt.minutes != -2 {
				t.Errorf("%s: rejected: %+v", tt.name, rejection)
			}
			continue
		}
		want := start.Add(time.Duration(tt.minutes) * time.Minute)
		if tt.minutes == -1 {
			want = time.Time{}
		}
		if !at.Equal(want) {
			t.Errorf("%s: at %v, want %v", tt.name, at, want)
		}
		var nodes []int
		for _, share := range plan.Shares {
			nodes = append(nodes, share.Node)
		}
		if len(nodes) != len(tt.nodes) {
			t.Errorf("%s: on nodes %v, want %v", tt.name, nodes, tt.nodes)
		}
	}
}

// No sooner time is possible, and the plan is one for the time that is told.
func TestShadowIsTheEarliest(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		free := rapid.SliceOfN(rapid.Int64Range(0, 4), 2, 6).Draw(r, "free")
		x := racks(2, free...)
		var list []backfill.Tenancy
		for node, n := range free {
			for left := 8 - n; left > 0; {
				part := rapid.Int64Range(1, left).Draw(r, "part")
				left -= part
				list = append(list, held(node, part, rapid.IntRange(1, 9).Draw(r, "until")))
			}
		}
		req := gangOf(rapid.IntRange(1, 6).Draw(r, "count"), rapid.SampledFrom([]int64{1, 2, 4, 8}).Draw(r, "each"),
			rapid.IntRange(0, 1).Draw(r, "required"))
		fits := func(minutes int) bool {
			var freed []placement.Freed
			for _, h := range list {
				if !h.Until.After(start.Add(time.Duration(minutes) * time.Minute)) {
					freed = append(freed, placement.Freed{Node: h.Node, Amounts: h.Amounts})
				}
			}
			plan, _ := x.SolveIf(req, freed)
			return plan != nil
		}
		earliest := 0
		for earliest <= 9 && !fits(earliest) {
			earliest++
		}
		plan, at, rejection := backfill.Shadow(x, req, list)
		switch {
		case earliest > 9:
			if rejection == nil {
				r.Fatalf("fits at %v, and does not fit when all is free", at)
			}
		case rejection != nil:
			r.Fatalf("rejected: %+v; it fits after %d minutes", rejection, earliest)
		case earliest == 0 && !at.IsZero(), earliest > 0 && !at.Equal(start.Add(time.Duration(earliest)*time.Minute)):
			r.Fatalf("at %v, and fits after %d minutes", at, earliest)
		case plan == nil:
			r.Fatal("no plan")
		}
	})
}

func TestUntil(t *testing.T) {
	now := start.Add(time.Hour)
	tests := []struct {
		name     string
		since    time.Duration // before now
		declared time.Duration
		want     time.Duration // from now
	}{
		{"as old again", 40 * time.Minute, 0, 40 * time.Minute},
		{"only just begun", time.Second, 0, time.Minute},
		{"a clock that runs ahead", -time.Second, 0, time.Minute},
		{"as declared", 10 * time.Minute, time.Hour, 50 * time.Minute},
		{"over its time", 50 * time.Minute, 20 * time.Minute, 30 * time.Minute},
		{"to the second over", 20 * time.Minute, 20 * time.Minute, 20 * time.Minute},
	}
	for _, tt := range tests {
		if got := backfill.Until(now, now.Add(-tt.since), tt.declared).Sub(now); got != tt.want {
			t.Errorf("%s: in %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := backfill.Until(now, time.Time{}, time.Hour).Sub(now); got != time.Hour {
		t.Errorf("not begun yet: in %v, want an hour", got)
	}
	backfill.Until(now, time.Unix(0, 0).AddDate(-1000, 0, 0), time.Hour) // comes to an end
}

func TestPasses(t *testing.T) {
	need := start.Add(time.Hour)
	if !backfill.Passes(start, time.Hour, need) || backfill.Passes(start, time.Hour+1, need) || backfill.Passes(start, 0, need) {
		t.Error("only what says that it ends in time may pass")
	}
}
