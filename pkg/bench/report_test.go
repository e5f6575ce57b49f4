package bench

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSummarise(t *testing.T) {
	r := Report{Runs: []Run{
		{"b", Lockstep, "throughput", 1, 300},
		{"b", Default, "throughput", 1, 200},
		{"b", Lockstep, "throughput", 2, 100},
		{"b", Default, "throughput", 2, 100},
		{"b", Lockstep, "cost", 1, 0},
		{"b", Lockstep, "throughput", 3, 200},
		{"b", Default, "throughput", 3, 50},
		{"a", Default, "throughput", 1, 7},
	}}
	r.summarise()
	want := []Summary{
		{"b", Lockstep, "throughput", 200, 100, 300, 1},
		{"b", Default, "throughput", 100, 50, 200, 2},
		{"b", Lockstep, "cost", 0, 0, 0, 0},
		{"a", Default, "throughput", 7, 7, 7, 0},
	}
	if diff := cmp.Diff(want, r.Summaries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPercentileByRank(t *testing.T) {
	for _, tt := range []struct {
		n        int
		p50, p99 float64
	}{{0, 0, 0}, {1, 1, 1}, {2, 1, 2}, {3, 2, 3}, {100, 50, 99}, {101, 51, 100}, {200, 100, 198}} {
		var sorted []float64
		for i := range tt.n {
			sorted = append(sorted, float64(i+1))
		}
		if p50, p99 := percentile(sorted, 50), percentile(sorted, 99); p50 != tt.p50 || p99 != tt.p99 {
			t.Errorf("of 1 to %d: p50 %v, p99 %v; want %v and %v", tt.n, p50, p99, tt.p50, tt.p99)
		}
	}
}

func TestShapes(t *testing.T) {
	shape, err := ParseShape("64x16")
	if err != nil || shape != (Shape{64, 16}) || shape.String() != "64x16" {
		t.Errorf("got %v, %v", shape, err)
	}
	for _, wrong := range []string{"", "64", "x", "0x4", "4x0", "-1x4", "4x4x4", "ax4"} {
		if _, err := ParseShape(wrong); err == nil {
			t.Errorf("%q was taken for a shape", wrong)
		}
	}
}

// The answers that the ceiling follows hold what the gangs require, and no node
// gets more than it has.
func TestAnswers(t *testing.T) {
	s := &stage{shape: stageShape(), nodes: 1000}
	labels := map[string]map[string]string{}
	for i := range s.nodes {
		node := s.shape.Node(i)
		labels[node.Name] = node.Labels
	}
	for _, c := range []struct {
		shape Shape
		gpus  int
		level string
	}{
		{Shape{256, 4}, 1, "rack"}, {Shape{8, 64}, 1, "rack"}, {Shape{4, 100}, 1, "rack"}, {Shape{7, 1000}, 1, "block"},
		{Shape{5, 48}, 2, "rack"}, {Shape{2, 2000}, 1, ""},
	} {
		l := s.require(load{Shape: c.shape, gpus: c.gpus})
		if l.required != c.level {
			t.Errorf("%s of %d GPUs require %q, want %q", c.shape, c.gpus, l.required, c.level)
		}
		used, domain := map[string]int{}, map[string]string{}
		for _, p := range l.gangByGang() {
			node := s.answer(l, p.gang, p.member)
			if used[node] += c.gpus; used[node] > 8 {
				t.Fatalf("%s: %d GPUs are used on %s", c.shape, used[node], node)
			}
			for key, value := range labels[node] {
				if c.level == "" || key != "topology.lockstep.dev/"+c.level {
					continue
				}
				if other, seen := domain[gangName(p.gang)]; seen && other != value {
					t.Fatalf("%s: %s is in %s and in %s", c.shape, gangName(p.gang), other, value)
				}
				domain[gangName(p.gang)] = value
			}
		}
	}
	if err := s.check(load{Shape: Shape{1, 8001}, gpus: 1}); err == nil {
		t.Error("8,001 pods are to fit on 8,000 GPUs")
	}
	if err := s.check(load{Shape: Shape{1, 1}, gpus: 9}); err == nil {
		t.Error("a pod with 9 GPUs is to fit on 8")
	}
}
