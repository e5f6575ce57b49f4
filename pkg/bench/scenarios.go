package bench

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// Settings of a scenario. Counts are at least 1.
type Settings struct {
	Nodes, Gangs, Size, GPUs, Repeat int
	// Peers are measured beside Lockstep; see Peers.
	Peers []string
	// Log takes a line per step; may be nil.
	Log func(line string)
}

func (s Settings) validate() error {
	for _, f := range []struct {
		name  string
		value int
	}{{"nodes", s.Nodes}, {"gangs", s.Gangs}, {"size", s.Size}, {"gpus", s.GPUs}, {"repeat", s.Repeat}} {
		if f.value < 1 {
			return fmt.Errorf("%s: %d: must be at least 1", f.name, f.value)
		}
	}
	shape := fakenodes.DefaultShape()
	if perNode := shape.GPUs / s.GPUs; perNode == 0 || s.Nodes*perNode < s.Gangs*s.Size {
		return fmt.Errorf("%d gangs of %d pods with %d GPUs do not fit on %d nodes of %d GPUs; a throughput needs all of them placed",
			s.Gangs, s.Size, s.GPUs, s.Nodes, shape.GPUs)
	}
	return nil
}

func (s Settings) report(scenario string) *Report {
	return &Report{Scenario: scenario, Settings: map[string]int{
		"nodes": s.Nodes, "gangs": s.Gangs, "size": s.Size, "gpus": s.GPUs, "repeat": s.Repeat,
	}}
}

// turnLimit bounds one scheduler's go: one that does not place all pods in that time
// will not do so later.
const turnLimit = 10 * time.Minute

// eachTurn runs every scheduler once per repeat, in turn.
func (s Settings) eachTurn(ctx context.Context, do func(ctx context.Context, t *turn, repeat int) error) error {
	list, err := contestants(s.Peers)
	if err != nil {
		return err
	}
	stage, err := newStage(ctx, fakenodes.DefaultShape(), slices.Contains(s.Peers, Native), s.Log)
	if err != nil {
		return err
	}
	defer stage.close()
	for repeat := range s.Repeat {
		for _, contestant := range list {
			t, err := stage.begin(ctx, contestant, s.Nodes)
			if err != nil {
				return err
			}
			stage.log(fmt.Sprintf("repeat %d of %d: %s", repeat+1, s.Repeat, contestant.name))
			turn, cancel := context.WithTimeoutCause(ctx, turnLimit, fmt.Errorf("not within %s", turnLimit))
			err = do(turn, t, repeat+1)
			cancel()
			if err != nil {
				return err
			}
			if err := t.end(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// Gang measures throughput: all gangs are created at once, several requests under
// way at a time; pods per second from the first create to the last bind. Beside it
// the processor time per pod of the scheduler, of the apiserver and of etcd.
func Gang(ctx context.Context, s Settings) (*Report, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	report := s.report("gang")
	err := s.eachTurn(ctx, func(ctx context.Context, t *turn, repeat int) error {
		before, err := t.cpuTimes()
		if err != nil {
			return err
		}
		begin := time.Now()
		err = t.parallel(ctx, s.Gangs, func(i int) error {
			_, err := t.createGang(ctx, fmt.Sprintf("gang-%04d", i), s.Size, s.GPUs)
			return err
		})
		if err != nil {
			return err
		}
		if err := t.awaitBound(ctx, s.Gangs*s.Size); err != nil {
			return err
		}
		after, err := t.cpuTimes()
		if err != nil {
			return err
		}
		pods := float64(s.Gangs * s.Size)
		add := func(metric string, value float64) {
			report.Runs = append(report.Runs, Run{t.contestant.name, metric, repeat, value})
		}
		add("throughput_pods_per_second", pods/t.lastBound().Sub(begin).Seconds())
		for i, name := range []string{"scheduler", "apiserver", "etcd"} {
			add(name+"_cpu_ms_per_pod", float64((after[i]-before[i]).Microseconds())/1000/pods)
		}
		return nil
	})
	report.summarise()
	return report, err
}

// Latency measures one gang at a time: seconds from when its last pod was created
// to when its last pod was bound.
func Latency(ctx context.Context, s Settings) (*Report, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	report := s.report("latency")
	err := s.eachTurn(ctx, func(ctx context.Context, t *turn, repeat int) error {
		var took []float64
		for i := range s.Gangs {
			uids, err := t.createGang(ctx, fmt.Sprintf("gang-%04d", i), s.Size, s.GPUs)
			if err != nil {
				return err
			}
			if err := t.awaitBound(ctx, (i+1)*s.Size); err != nil {
				return err
			}
			took = append(took, max(0, t.between(uids).Seconds()))
		}
		sort.Float64s(took)
		report.Runs = append(report.Runs,
			Run{t.contestant.name, "p50_seconds", repeat, quantile(took, 0.5)}, Run{t.contestant.name, "p99_seconds", repeat, quantile(took, 0.99)})
		return nil
	})
	report.summarise()
	return report, err
}

// cpuTimes are those of the scheduler, the apiserver and etcd so far.
func (t *turn) cpuTimes() (times [3]time.Duration, err error) {
	for i, p := range []*devcluster.Process{t.process, t.cluster.APIServer(), t.cluster.Etcd()} {
		if times[i], err = cpuTime(p.Pid()); err != nil {
			return times, err
		}
	}
	return times, nil
}

func (t *turn) lastBound() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	var last time.Time
	for _, at := range t.bound {
		if at.After(last) {
			last = at
		}
	}
	return last
}

// between is the time from the last create to the last bind of some pods.
func (t *turn) between(uids []types.UID) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	var created, bound time.Time
	for _, uid := range uids {
		if at := t.created[uid]; at.After(created) {
			created = at
		}
		if at := t.bound[uid]; at.After(bound) {
			bound = at
		}
	}
	return bound.Sub(created)
}
