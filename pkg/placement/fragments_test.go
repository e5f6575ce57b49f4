package placement

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestFragments(t *testing.T) {
	half := GPUShape{CPU: 1000, GPUs: 1, Milli: 500}
	two := GPUShape{CPU: 1000, GPUs: 2, Milli: 1000}
	cpu := GPUShape{CPU: 1000}
	picky := GPUShape{CPU: 1000, GPUs: 1, Milli: 1000, Models: 2}
	tests := []struct {
		name  string
		shape GPUShape
		node  GPUState
		want  int64
	}{
		{"all of use", half, GPUState{CPU: 9000, Milli: []int64{500, 1000}, Model: 1}, 0},
		{"a sliver", half, GPUState{CPU: 9000, Milli: []int64{400, 1000}, Model: 1}, 400},
		{"too few whole GPUs", two, GPUState{CPU: 9000, Milli: []int64{900, 1000}, Model: 1}, 1900},
		{"no CPU for them", half, GPUState{CPU: 900, Milli: []int64{1000, 1000}, Model: 1}, 2000},
		{"a pod without GPU has no use for one", cpu, GPUState{CPU: 9000, Milli: []int64{1000}, Model: 1}, 1000},
		{"the wrong model", picky, GPUState{CPU: 9000, Milli: []int64{1000}, Model: 1}, 1000},
		{"the right model", picky, GPUState{CPU: 9000, Milli: []int64{1000}, Model: 2}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := NewMix(map[GPUShape]int{tt.shape: 1}).Fragments(tt.node); got != tt.want {
				t.Errorf("fragments %d, want %d", got, tt.want)
			}
		})
	}
}

func TestMixDropsTheRare(t *testing.T) {
	m := NewMix(map[GPUShape]int{{CPU: 1, GPUs: 1, Milli: 1000}: 90, {CPU: 2, GPUs: 1, Milli: 1000}: 6, {CPU: 3}: 4})
	if m.Len() != 2 || m.Total() != 96 {
		t.Errorf("%d shapes of %d pods are in the mix, want 2 of 96", m.Len(), m.Total())
	}
}

func TestScoreIsASigmoid(t *testing.T) {
	m := NewMix(map[GPUShape]int{{GPUs: 1, Milli: 1000}: 7})
	rapid.Check(t, func(t *rapid.T) {
		before, after := rapid.Int64Range(0, 100000).Draw(t, "before"), rapid.Int64Range(0, 100000).Draw(t, "after")
		want := int(100 / (1 + math.Exp(-float64(before-after)/7/1000)))
		if got := m.Score(before, after); got != want {
			t.Fatalf("score %d, want %d", got, want)
		}
	})
}
