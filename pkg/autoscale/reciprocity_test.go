package autoscale_test

import (
	"cmp"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/autoscale"
)

// TestElasticJobsMakeWayForEachOther: for the gang of an elastic job that waits, which starts
// with fewer Workers than it asked for, others go to the same share of what they asked for.
func TestElasticJobsMakeWayForEachOther(t *testing.T) {
	half := autoscale.Pending{Name: "team/x", GPUs: 4, Floor: 4, Asked: 8}
	tests := []struct {
		name   string
		jobs   []autoscale.Job
		idle   int
		gangs  []autoscale.Pending // the first of them is changed by gang
		gang   func(*autoscale.Pending)
		want   []string // job target verdict
		reason string   // part of the first decision's
	}{
		{
			name: "to the share that it starts with", jobs: []autoscale.Job{asked(old("a", 1, 8, 8), 8)},
			want:   []string{"a 4 GiveWay"},
			reason: "shrinks from 8 to 4 Workers: gang team/x waits and can start with these 4 GPUs, with as small a part of what it asked for",
		},
		{
			name: "no further than that", jobs: []autoscale.Job{asked(old("a", 1, 6, 8), 8)},
			want: []string{"a 6 NoRoom"},
		},
		{
			name: "nor below the floor", jobs: []autoscale.Job{asked(old("a", 6, 8, 8), 8)},
			want: []string{"a 8 Enough"},
		},
		{
			name: "and no more than is needed", jobs: []autoscale.Job{asked(old("a", 1, 8, 8), 8)}, idle: 3,
			want: []string{"a 7 GiveWay"},
		},
		{
			name: "surplus goes first, although it is worth more per GPU",
			jobs: []autoscale.Job{asked(old("a", 1, 8, 8), 8), asked(old("b", 1, 4, 4), 1)},
			want: []string{"a 7 GiveWay", "b 1 GiveWay"},
		},
		{
			name: "to an allowed size", jobs: []autoscale.Job{with(asked(old("a", 1, 8, 8), 8), func(j *autoscale.Job) { j.Sizes = []int{2, 5, 8} })}, idle: 1,
			want: []string{"a 5 GiveWay"},
		},
		{
			name: "a gang of a fixed size has no such right", jobs: []autoscale.Job{asked(old("a", 1, 8, 8), 8)},
			gang: func(g *autoscale.Pending) { g.Floor, g.Asked = 0, 0 },
			want: []string{"a 8 Enough"},
		},
		{
			name: "nor one that does not start small itself", jobs: []autoscale.Job{asked(old("a", 1, 8, 8), 8)},
			gang: func(g *autoscale.Pending) { g.Floor = g.Asked },
			want: []string{"a 8 Enough"},
		},
		{
			name: "nor one that is less important", jobs: []autoscale.Job{with(asked(old("a", 1, 8, 8), 8), func(j *autoscale.Job) { j.Priority = 1 })},
			want: []string{"a 8 Enough"},
		},
		{
			// 4 Workers are 48 % slower than 8: that loses 86 of 180 minutes, a quarter of which is 21.5.
			name: "nor one that has only come", jobs: []autoscale.Job{asked(old("a", 1, 8, 8), 8)},
			gang: func(g *autoscale.Pending) { g.Waited = 21 * time.Minute },
			want: []string{"a 8 Enough"},
		},
		{
			name: "but one that has waited for a quarter of what they lose", jobs: []autoscale.Job{asked(old("a", 1, 8, 8), 8)},
			gang: func(g *autoscale.Pending) { g.Waited = 22 * time.Minute },
			want: []string{"a 4 GiveWay"},
		},
		{
			name: "sooner where they end soon", jobs: []autoscale.Job{with(asked(old("a", 1, 8, 8), 8), func(j *autoscale.Job) { j.Remaining = 30 * time.Minute })},
			gang: func(g *autoscale.Pending) { g.Waited = 4 * time.Minute },
			want: []string{"a 4 GiveWay"},
		},
		{
			name: "later where they run for weeks", jobs: []autoscale.Job{with(asked(old("a", 1, 8, 8), 8), func(j *autoscale.Job) { j.Age = 500 * time.Hour })},
			gang: func(g *autoscale.Pending) { g.Waited = 3*time.Hour - time.Minute },
			want: []string{"a 8 Enough"},
		},
		{
			name: "for three hours at most", jobs: []autoscale.Job{with(asked(old("a", 1, 8, 8), 8), func(j *autoscale.Job) { j.Age = 500 * time.Hour })},
			gang: func(g *autoscale.Pending) { g.Waited = 3 * time.Hour },
			want: []string{"a 4 GiveWay"},
		},
		{
			name: "a gang that asks for twice as much waits half as long", jobs: []autoscale.Job{asked(old("a", 1, 8, 8), 8)},
			gang: func(g *autoscale.Pending) { g.Asked, g.Waited = 16, 11*time.Minute },
			want: []string{"a 4 GiveWay"},
		},
		{
			name: "without GPUs Workers count", jobs: []autoscale.Job{with(asked(old("a", 1, 8, 8), 8), func(j *autoscale.Job) { j.GPUs = 0; j.NodeGPUs = 0 })},
			gang: func(g *autoscale.Pending) { g.GPUs, g.Waited = 0, 22*time.Minute },
			want: []string{"a 4 GiveWay"},
		},
		{
			name: "surplus does not count as lost",
			jobs: []autoscale.Job{asked(old("a", 1, 8, 8), 4)},
			gang: func(g *autoscale.Pending) { g.Waited = 4 * time.Minute },
			want: []string{"a 4 GiveWay"},
		},
		{
			name: "a job that has changed a short while ago keeps what it asked for",
			jobs: []autoscale.Job{with(asked(old("a", 1, 8, 8), 8), func(j *autoscale.Job) { j.Settled = 9 * time.Minute })},
			want: []string{"a 8 Enough"},
		},
		{
			name: "and so does one that has started a short while ago",
			jobs: []autoscale.Job{with(asked(old("a", 1, 8, 8), 8), func(j *autoscale.Job) { j.Settled, j.Unchanged = 9*time.Minute, true })},
			want: []string{"a 8 Enough"},
		},
		{
			name: "in vain where another would take the room before", jobs: []autoscale.Job{asked(old("a", 1, 8, 8), 8)},
			gangs: []autoscale.Pending{{Name: "team/before", GPUs: 3, Waited: time.Hour}, half},
			want:  []string{"a 8 Enough"},
		},
		{
			name: "not where the one before needs more", jobs: []autoscale.Job{asked(old("a", 1, 8, 8), 8)},
			gangs: []autoscale.Pending{{Name: "team/before", GPUs: 5, Waited: time.Hour}, half},
			want:  []string{"a 4 GiveWay"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := autoscale.Situation{Jobs: tt.jobs, Pending: tt.gangs}
			if s.Pending == nil {
				s.Pending = []autoscale.Pending{half}
			}
			room := &pool{idle: tt.idle, unit: map[string]int{}, need: map[string]int{}}
			for _, j := range tt.jobs {
				room.unit[j.Name] = max(1, j.GPUs)
			}
			for i := range s.Pending {
				s.Pending[i].Waited = cmp.Or(s.Pending[i].Waited, time.Hour)
				room.need[s.Pending[i].Name] = s.Pending[i].GPUs
			}
			if tt.gang != nil {
				tt.gang(&s.Pending[0])
			}
			s.Room = room
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
