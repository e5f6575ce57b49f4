package gang

import (
	"sort"
	"testing"
)

func TestMembersAreOrderedByNumberNotByText(t *testing.T) {
	members := []Member{
		{Name: "j-worker-10", Role: "worker", Index: 10},
		{Name: "j-worker-2", Role: "worker", Index: 2},
		{Name: "j-master-0", Role: "master"},
	}
	sort.Slice(members, func(i, j int) bool { return Before(members[i], members[j]) })
	for i, want := range []string{"j-master-0", "j-worker-2", "j-worker-10"} {
		if members[i].Name != want {
			t.Errorf("rank %d is %s, want %s", i, members[i].Name, want)
		}
	}
}

func TestPhase(t *testing.T) {
	tests := []struct {
		name   string
		counts Counts
		floor  int
		want   Phase
	}{
		{"nothing there", Counts{}, 3, Incomplete},
		{"one is missing", Counts{Waiting: 2}, 3, Incomplete},
		{"all are there", Counts{Waiting: 3}, 3, Queued},
		{"held", Counts{Held: 2, Reserved: 1}, 3, Planned},
		{"on the way", Counts{Binding: 2, Bound: 1}, 3, Releasing},
		{"some bound, rest waits", Counts{Bound: 1, Waiting: 2}, 3, Healing},
		{"some bound, rest gone", Counts{Bound: 1}, 3, Degraded},
		{"bound", Counts{Bound: 3}, 3, Placed},
		{"a Worker has finished, another was re-created", Counts{Bound: 1, Waiting: 1, Finished: 1}, 3, Healing},
		{"finished members count", Counts{Bound: 1, Finished: 2}, 3, Placed},
		{"surplus waits", Counts{Bound: 2, Waiting: 2}, 2, Placed},
	}
	for _, tt := range tests {
		if got := tt.counts.Phase(tt.floor); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
