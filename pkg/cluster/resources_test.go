package cluster

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestVocabularyKeepsPlaces(t *testing.T) {
	v := NewVocabulary()
	gpu := v.Index("nvidia.com/gpu")
	v.Index("example.com/nic")
	if v.Index("nvidia.com/gpu") != gpu || v.Name(gpu) != "nvidia.com/gpu" {
		t.Error("a resource has changed its place")
	}
	if v.Index("cpu") != CPU || v.Index("memory") != Memory || v.Index("pods") != Pods || v.Len() != 6 {
		t.Error("the resources that every node has are not where the constants say")
	}
}

func TestFitsAndSlots(t *testing.T) {
	tests := []struct {
		name      string
		req, free Resources
		slots     int
	}{
		{"room for two", Resources{2, 0, 0, 1}, Resources{5, 0, 0, 9}, 2},
		{"a resource that the node does not have", Resources{0, 0, 0, 0, 1}, Resources{5}, 0},
		{"over-committed where nothing is asked for", Resources{1}, Resources{3, -7}, 3},
		{"over-committed where something is asked for", Resources{1, 1}, Resources{3, -7}, 0},
		{"nothing asked for: as many as wanted", Resources{}, Resources{}, 100},
		{"a huge request", Resources{math.MaxInt64}, Resources{math.MaxInt64}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.req.Slots(tt.free, 100); got != tt.slots {
				t.Errorf("%d slots, want %d", got, tt.slots)
			}
			if got := tt.req.Fits(tt.free); got != (tt.slots > 0) {
				t.Errorf("fits: %v, but %d slots", got, tt.slots)
			}
		})
	}
}

func TestSumsSaturate(t *testing.T) {
	if got := (Resources{math.MaxInt64 - 1}).Add(Resources{5}); got[0] != math.MaxInt64 {
		t.Errorf("sum %d has wrapped around", got[0])
	}
	if got := (Resources{math.MinInt64 + 1}).Sub(Resources{5}); got[0] != math.MinInt64 {
		t.Errorf("difference %d has wrapped around", got[0])
	}
	if got := (Resources{-5}).Sub(Resources{math.MinInt64}); got[0] < 0 {
		t.Errorf("-5 less the lowest number is %d", got[0])
	}
}

// TestTakingSlotsAway: after as many requests as there are slots no other fits.
func TestTakingSlotsAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amounts := rapid.SliceOfN(rapid.Int64Range(0, 9), 1, 4)
		req, free := Resources(amounts.Draw(t, "request")), Resources(amounts.Draw(t, "free"))
		if slices.Max(req) == 0 {
			return
		}
		left := free.Clone()
		for range req.Slots(free, 1000) {
			if !req.Fits(left) {
				t.Fatalf("%v does not fit %v as often as said", req, free)
			}
			left = left.Sub(req)
		}
		if req.Fits(left) {
			t.Fatalf("%v fits %v once more than said", req, free)
		}
	})
}

func TestFind(t *testing.T) {
	nodes := []Node{{Name: "a"}, {Name: "c"}}
	for name, want := range map[string]int{"a": 0, "c": 1, "b": -1, "d": -1, "": -1} {
		if i, ok := Find(nodes, name); ok != (want >= 0) || ok && i != want {
			t.Errorf("%q found at %d, %v; want %d", name, i, ok, want)
		}
	}
}
