package bench

import "testing"

func TestSummarise(t *testing.T) {
	r := Report{Runs: []Run{
		{Lockstep, "throughput", 1, 300}, {Default, "throughput", 1, 200},
		{Lockstep, "throughput", 2, 100}, {Default, "throughput", 2, 100},
		{Lockstep, "throughput", 3, 200}, {Default, "throughput", 3, 50},
	}}
	r.summarise()
	want := []Summary{
		{Lockstep, "throughput", 200, 100, 300, 1},
		{Default, "throughput", 100, 50, 200, 2},
	}
	if len(r.Summaries) != 2 || r.Summaries[0] != want[0] || r.Summaries[1] != want[1] {
		t.Errorf("got %+v, want %+v", r.Summaries, want)
	}
}

func TestSettingsThatCannotBePlaced(t *testing.T) {
	s := Settings{Nodes: 1, Gangs: 2, Size: 8, GPUs: 1, Repeat: 1}
	if err := s.validate(); err == nil {
		t.Error("16 GPUs were found on a node of 8")
	}
}
