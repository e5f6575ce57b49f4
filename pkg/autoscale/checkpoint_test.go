package autoscale_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/autoscale"
)

// TestGrowthAwaitsACheckpoint: growing comes right after a checkpoint, where waiting for one
// costs less than what is unsaved. Giving way does not wait for one, but counts what is lost.
func TestGrowthAwaitsACheckpoint(t *testing.T) {
	reports := func(j autoscale.Job, age, every, awaited time.Duration) autoscale.Job {
		return with(j, func(j *autoscale.Job) { j.Checkpoint = &autoscale.Checkpoint{Age: age, Every: every, Awaited: awaited} })
	}
	tests := []struct {
		name   string
		jobs   []autoscale.Job
		idle   int
		gang   int // GPUs that one needs
		waited time.Duration
		want   []string
		reason string
	}{
		{
			name: "most of it is unsaved", jobs: []autoscale.Job{reports(old("a", 2, 2, 4), 4*time.Minute, 5*time.Minute, 0)}, idle: 2,
			want:   []string{"a 2 Awaiting"},
			reason: "stays at 2 Workers: it grows to 4 right after its next checkpoint, as 4m0s of work would be lost now; it writes one every 5m0s",
		},
		{
			name: "nearly all is saved", jobs: []autoscale.Job{reports(old("a", 2, 2, 4), 20*time.Second, 5*time.Minute, 0)}, idle: 2,
			want:   []string{"a 4 Grow"},
			reason: "30m0s at that size are counted on for a restart of 2m20s",
		},
		{
			name: "one was written since", jobs: []autoscale.Job{reports(old("a", 2, 2, 3), 4*time.Minute, 5*time.Minute, 4*time.Minute)}, idle: 1,
			want: []string{"a 3 Grow"},
		},
		{
			name: "none has come for twice as long as usual", idle: 2,
			jobs: []autoscale.Job{reports(old("a", 2, 2, 4), 10*time.Minute, 5*time.Minute, 6*time.Minute)},
			want: []string{"a 4 Grow"},
		},
		{
			name: "it is not known when the next comes", jobs: []autoscale.Job{reports(old("a", 2, 2, 4), 4*time.Minute, 0, 0)}, idle: 2,
			want: []string{"a 4 Grow"},
		},
		{
			name: "until the next one more would be gained than is unsaved", idle: 2,
			jobs: []autoscale.Job{reports(old("a", 2, 2, 4), 10*time.Minute, 2*time.Hour, 0)},
			want: []string{"a 4 Grow"},
		},
		{
			name: "its room is kept meanwhile", idle: 2,
			jobs: []autoscale.Job{reports(old("a", 2, 2, 4), 4*time.Minute, 5*time.Minute, 0), old("b", 4, 4, 8)},
			want: []string{"a 2 Awaiting", "b 4 NoRoom"},
		},
		{
			name: "what would not pay with what is unsaved pays then", idle: 1, // 7 % of half an hour is two minutes
			jobs: []autoscale.Job{reports(with(old("a", 10, 10, 11), func(j *autoscale.Job) { j.RestartCost = 30 * time.Second }), 4*time.Minute, 5*time.Minute, 0)},
			want: []string{"a 10 Awaiting"},
		},
		{
			name: "and does not where none can be counted on", idle: 1,
			jobs:   []autoscale.Job{reports(with(old("a", 10, 10, 11), func(j *autoscale.Job) { j.RestartCost = 30 * time.Second }), 4*time.Minute, 0, 0)},
			want:   []string{"a 10 Unworthy"},
			reason: "gains less than twice the 4m30s of a restart",
		},
		{
			name: "giving way does not wait for one", gang: 4, waited: 7 * time.Minute,
			jobs: []autoscale.Job{reports(old("a", 2, 6, 8), 4*time.Minute, 5*time.Minute, 0)},
			want: []string{"a 2 GiveWay"},
		},
		{
			name: "what is unsaved counts when a gang waits", gang: 1, waited: 5 * time.Minute,
			jobs: []autoscale.Job{reports(old("a", 2, 8, 8), 4*time.Minute, 5*time.Minute, 0)},
			want: []string{"a 8 Enough"},
		},
		{
			name: "but five minutes of it at most", gang: 1, waited: 7 * time.Minute,
			jobs: []autoscale.Job{reports(old("a", 2, 8, 8), time.Hour, 2*time.Hour, 0)},
			want: []string{"a 7 GiveWay"},
		},
		{
			name: "room does not move where too much is lost by that",
			jobs: []autoscale.Job{reports(old("a", 1, 15, 16), 10*time.Hour, 20*time.Hour, 0), old("b", 1, 1, 16)},
			want: []string{"a 15 Unworthy", "b 1 NoRoom"},
		},
		{
			name: "nor does it wait when it moves",
			jobs: []autoscale.Job{old("a", 1, 15, 16), reports(old("b", 1, 1, 16), 4*time.Minute, 5*time.Minute, 0)},
			want: []string{"a 8 Rebalance", "b 8 Grow"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			room := &pool{idle: tt.idle, unit: map[string]int{}, need: map[string]int{}}
			s := autoscale.Situation{Jobs: tt.jobs, Room: room}
			for _, j := range tt.jobs {
				room.unit[j.Name] = j.GPUs
			}
			if tt.gang > 0 {
				room.need["team/x"] = tt.gang
				s.Pending = append(s.Pending, autoscale.Pending{Name: "team/x", GPUs: tt.gang, Waited: tt.waited})
			}
			decisions := autoscale.WaterFilling{}.Recommend(s)
			for i, d := range decisions {
				if got := strings.Join([]string{d.Job, strconv.Itoa(d.Target), string(d.Verdict)}, " "); got != tt.want[i] {
					t.Errorf("%s: %s; want %q", got, d.Reason, tt.want)
				}
			}
			if !strings.Contains(decisions[0].Reason, tt.reason) {
				t.Errorf("%s; want %q", decisions[0].Reason, tt.reason)
			}
		})
	}
}
