package sim

import "testing"

// TestStarvation: a gang of 64 GPUs under an endless stream of jobs of one GPU never
// starts without a reservation, and within its bound with one.
func TestStarvation(t *testing.T) {
	for _, load := range []float64{1.05, 1.2} {
		r, err := Starvation(StarvationOptions{Load: load, ReserveAfterSeconds: 600, Hours: 8, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("load %v: %+v", load, r)
		if !r.Without.Starved {
			t.Errorf("load %v: it starts without a reservation", load)
		}
		if r.With.Starved || r.With.DrainSeconds > smallLongest || r.With.GangWaitSeconds > 3*smallLongest {
			t.Errorf("load %v: it waits for longer than the bound", load)
		}
	}
	if _, err := Starvation(StarvationOptions{Load: 0.9, ReserveAfterSeconds: 600, Hours: 12}); err == nil {
		t.Error("nobody starves at a load of 0.9")
	}
}
