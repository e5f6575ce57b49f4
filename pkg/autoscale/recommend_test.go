package autoscale_test

import (
	"cmp"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/autoscale"
)

// old is a job that has run long enough for everything.
func old(name string, low, current, high int) autoscale.Job {
	return autoscale.Job{
		Name: name, Min: low, Current: current, Max: high, GPUs: 1, NodeGPUs: 8,
		Age: 3 * time.Hour, Settled: time.Hour, RestartCost: 2 * time.Minute,
	}
}

func with(j autoscale.Job, change func(*autoscale.Job)) autoscale.Job {
	change(&j)
	return j
}

func asked(j autoscale.Job, size int) autoscale.Job {
	return with(j, func(j *autoscale.Job) { j.Asked = size })
}

func TestRecommend(t *testing.T) {
	tests := []struct {
		name    string
		jobs    []autoscale.Job
		idle    int
		pending map[string]int
		waited  time.Duration // by them; 0: an hour
		want    []string      // job target verdict
		reason  string        // part of the first decision's
	}{
		{
			name: "idle GPUs are used", jobs: []autoscale.Job{old("a", 2, 2, 8)}, idle: 4,
			want:   []string{"a 6 Grow"},
			reason: "grows from 2 to 6 Workers, 187 % faster: the 4 GPUs for that are idle, and 30m0s at that size are counted on for a restart of 2m0s",
		},
		{
			name: "of many idle GPUs those are told that are used", jobs: []autoscale.Job{old("a", 2, 2, 3)}, idle: 40,
			want: []string{"a 3 Grow"}, reason: "faster: the GPU for that is idle, and",
		},
		{
			name: "what is idle is shared out evenly", jobs: []autoscale.Job{old("a", 1, 2, 8), old("b", 1, 2, 8)}, idle: 4,
			want: []string{"a 4 Grow", "b 4 Grow"},
		},
		{
			name: "a gang that fits has its room, the rest is for growth", jobs: []autoscale.Job{old("a", 2, 2, 8)},
			idle: 6, pending: map[string]int{"team/x": 4}, want: []string{"a 4 Grow"},
		},
		{
			name: "nobody grows while a gang waits for GPUs", jobs: []autoscale.Job{old("a", 2, 2, 8)},
			idle: 6, pending: map[string]int{"team/x": 9}, want: []string{"a 2 Reserved"},
			reason: "stays at 2 Workers: gang team/x waits, and what is idle is for it",
		},
		{
			name: "surplus is given back, no more than is needed", jobs: []autoscale.Job{old("a", 2, 8, 8), old("b", 2, 4, 8)},
			idle: 1, pending: map[string]int{"team/x": 4}, want: []string{"a 5 GiveWay", "b 4 NoRoom"},
			reason: "shrinks from 8 to 5 Workers: gang team/x waits and can start with these 3 GPUs",
		},
		{
			name: "giving way does not wait", jobs: []autoscale.Job{with(old("a", 2, 8, 8), func(j *autoscale.Job) { j.Settled, j.Age = 0, 0 })},
			pending: map[string]int{"team/x": 6}, want: []string{"a 2 GiveWay"},
		},
		{
			name: "a small gang does not stop a large job at once", waited: time.Minute,
			jobs:    []autoscale.Job{old("a", 2, 8, 8)},
			pending: map[string]int{"team/x": 1}, want: []string{"a 8 Enough"},
		},
		{
			name: "it does when it has waited for as long as the restart takes", waited: 2 * time.Minute,
			jobs:    []autoscale.Job{old("a", 2, 8, 8)},
			pending: map[string]int{"team/x": 1}, want: []string{"a 7 GiveWay"},
		},
		{
			name: "for a large gang a small job stops soon", waited: 30 * time.Second,
			jobs: []autoscale.Job{old("a", 2, 4, 4)}, idle: 16,
			pending: map[string]int{"team/x": 18}, want: []string{"a 2 GiveWay"},
		},
		{
			name: "a floor is never given back", jobs: []autoscale.Job{old("a", 4, 8, 8)},
			pending: map[string]int{"team/x": 5}, want: []string{"a 8 Enough"},
		},
		{
			name: "what was asked for is not given back", jobs: []autoscale.Job{asked(old("a", 2, 8, 8), 6), asked(old("b", 2, 4, 8), 4)},
			idle: 1, pending: map[string]int{"team/x": 3}, want: []string{"a 6 GiveWay", "b 4 NoRoom"},
		},
		{
			name: "nor what the job has of it", jobs: []autoscale.Job{asked(old("a", 2, 3, 8), 4)},
			pending: map[string]int{"team/x": 1}, want: []string{"a 3 NoRoom"},
		},
		{
			name: "a job that started small gets what it lacks, and no more, while a gang waits for what there is not",
			jobs: []autoscale.Job{asked(old("a", 2, 2, 8), 4), asked(old("b", 2, 4, 8), 4)},
			idle: 6, pending: map[string]int{"team/x": 9}, want: []string{"a 4 Grow", "b 4 Reserved"},
			reason: "grows from 2 to 4 Workers, which were asked for, 96 % faster: the 2 GPUs for that are idle",
		},
		{
			name: "but not what a gang can start with", jobs: []autoscale.Job{asked(old("a", 2, 2, 8), 4)},
			idle: 3, pending: map[string]int{"team/x": 3}, want: []string{"a 2 NoRoom"},
		},
		{
			name:    "it gets that from those who have more than they asked for, where that is worth their restart",
			jobs:    []autoscale.Job{asked(old("a", 1, 1, 8), 4), asked(old("b", 2, 8, 8), 2)},
			pending: map[string]int{"team/x": 9}, want: []string{"a 4 Grow", "b 5 Rebalance"},
		},
		{
			name:    "an asked size that is not allowed counts as the one below",
			jobs:    []autoscale.Job{with(asked(old("a", 2, 8, 8), 5), func(j *autoscale.Job) { j.Sizes = []int{2, 4, 8} })},
			pending: map[string]int{"team/x": 3}, want: []string{"a 4 GiveWay"},
		},
		{
			name: "allowed sizes", jobs: []autoscale.Job{with(old("a", 2, 2, 8), func(j *autoscale.Job) { j.Sizes = []int{2, 4, 8} })}, idle: 5,
			want: []string{"a 4 Grow"},
		},
		{
			name: "sizes by a step", jobs: []autoscale.Job{with(old("a", 3, 3, 12), func(j *autoscale.Job) { j.Step = 3 })}, idle: 5,
			want: []string{"a 6 Grow"},
		},
		{
			name: "giving way goes to an allowed size", jobs: []autoscale.Job{with(old("a", 2, 8, 8), func(j *autoscale.Job) { j.Sizes = []int{2, 4, 8} })},
			pending: map[string]int{"team/x": 1}, want: []string{"a 4 GiveWay"},
		},
		{
			name: "a size is kept for a while", idle: 4,
			jobs:   []autoscale.Job{with(old("a", 2, 2, 8), func(j *autoscale.Job) { j.Settled = 9 * time.Minute })},
			want:   []string{"a 2 Settling"},
			reason: "stays at 2 Workers: it came to this size less than 10m0s ago, and changes at most once in that time",
		},
		{
			name: "a start is no change of size", idle: 4,
			jobs: []autoscale.Job{with(old("a", 2, 2, 8), func(j *autoscale.Job) { j.Settled, j.Unchanged = 9*time.Minute, true })},
			want: []string{"a 6 Grow"},
		},
		{
			name: "a job has its own cool-down", idle: 6,
			jobs: []autoscale.Job{with(old("a", 2, 2, 8), func(j *autoscale.Job) { j.Settled, j.Cooldown = 9*time.Minute, time.Minute })},
			want: []string{"a 8 Grow"},
		},
		{
			name: "a restart has to pay", idle: 1,
			jobs: []autoscale.Job{with(old("a", 4, 4, 5), func(j *autoscale.Job) { j.Remaining = 10 * time.Minute })},
			want: []string{"a 4 Unworthy"},
			reason: "stays at 4 Workers: 5 Workers would make it 24 % faster, which in the 10m0s that are counted on gains less than " +
				"twice the 2m0s of a restart",
		},
		{
			name: "surplus has to pay soon, however long the job runs", idle: 1,
			jobs:   []autoscale.Job{asked(with(old("a", 10, 10, 11), func(j *autoscale.Job) { j.Age = 100 * time.Hour }), 10)},
			want:   []string{"a 10 Unworthy"},
			reason: "stays at 10 Workers: 11 Workers would make it 7 % faster, which in the 30m0s that are counted on gains less than twice the 2m0s of a restart",
		},
		{
			name: "what was asked for has not", idle: 1,
			jobs: []autoscale.Job{asked(with(old("a", 10, 10, 11), func(j *autoscale.Job) { j.Age = 100 * time.Hour }), 11)},
			want: []string{"a 11 Grow"},
		},
		{
			name: "what does not pay for one job goes to another", idle: 1,
			jobs: []autoscale.Job{with(old("a", 4, 4, 8), func(j *autoscale.Job) { j.Remaining = 10 * time.Minute }), old("b", 5, 5, 8)},
			want: []string{"a 4 NoRoom", "b 6 Grow"}, reason: "stays at 4 Workers: there is no room for more",
		},
		{
			name: "nor does it go to the one that gains less by it", idle: 4, jobs: []autoscale.Job{old("a", 8, 8, 16), old("b", 4, 4, 8)},
			want: []string{"a 8 NoRoom", "b 8 Grow"}, reason: "stays at 8 Workers: the room for more is worth more to other jobs",
		},
		{
			name: "a size that is slower is skipped", idle: 8,
			jobs: []autoscale.Job{with(old("a", 4, 4, 8), func(j *autoscale.Job) { j.Samples = []autoscale.Sample{{4, 10}, {5, 8}, {6, 8}, {7, 8}, {8, 9}} })},
			want: []string{"a 4 Enough"}, reason: "stays at 4 Workers: more would not make it faster",
		},
		{
			name: "a step at a node's border is jumped over", idle: 4,
			jobs: []autoscale.Job{with(old("a", 4, 4, 8), func(j *autoscale.Job) { j.Samples = []autoscale.Sample{{4, 10}, {5, 8}, {6, 9}, {7, 9}, {8, 18}} })},
			want: []string{"a 8 Grow"},
		},
		{
			name: "room moves to where it is worth more", jobs: []autoscale.Job{old("a", 1, 15, 16), old("b", 1, 1, 16)},
			want:   []string{"a 8 Rebalance", "b 8 Grow"},
			reason: "shrinks from 15 to 8 Workers, 27 % slower: these 7 GPUs can make other jobs faster by more",
		},
		{
			name: "but not for little", jobs: []autoscale.Job{old("a", 1, 8, 16), old("b", 1, 7, 16)},
			want: []string{"a 8 NoRoom", "b 7 NoRoom"},
		},
		{
			name: "a maximum is kept", jobs: []autoscale.Job{old("a", 1, 8, 8)}, idle: 5,
			want: []string{"a 8 Enough"}, reason: "stays at 8 Workers: more are not allowed",
		},
		{
			name: "a job without GPUs", jobs: []autoscale.Job{with(old("a", 1, 1, 2), func(j *autoscale.Job) { j.GPUs = 0 })},
			want: []string{"a 2 Grow"}, reason: "faster: the room for that is idle, and",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			room := &pool{idle: tt.idle, unit: map[string]int{}, need: tt.pending}
			s := autoscale.Situation{Jobs: tt.jobs, Room: room}
			for _, j := range tt.jobs {
				room.unit[j.Name] = j.GPUs
			}
			for gang := range tt.pending {
				s.Pending = append(s.Pending, autoscale.Pending{Name: gang, GPUs: tt.pending[gang], Waited: cmp.Or(tt.waited, time.Hour)})
			}
			decisions := autoscale.WaterFilling{}.Recommend(s)
			for i, d := range decisions {
				got := strings.Join([]string{d.Job, strconv.Itoa(d.Target), string(d.Verdict)}, " ")
				if i >= len(tt.want) || got != tt.want[i] {
					t.Errorf("%s: %s; want %q", got, d.Reason, tt.want)
				}
			}
			if len(decisions) != len(tt.want) || !strings.Contains(decisions[0].Reason, tt.reason) {
				t.Errorf("%+v; want %q", decisions, tt.reason)
			}
			if room.left != room.idle {
				t.Errorf("the room is left with %d of %d idle", room.left, room.idle)
			}
		})
	}
}
