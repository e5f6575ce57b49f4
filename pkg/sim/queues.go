package sim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/quota"
)

// QueueShare is what a queue of a replay got.
type QueueShare struct {
	Queue    string  `json:"queue"`
	Weight   int64   `json:"weight"`
	GPUHours float64 `json:"gpu_hours"` // held while jobs arrived
	// BorrowedGPUHours is what it held beyond its guarantee while somebody waited, and
	// FairGPUHours its fair part of all that was borrowed then: what the queues hold and
	// wait for at each moment gets it by strict priority, then weighted max-min fairness.
	BorrowedGPUHours float64 `json:"borrowed_gpu_hours"`
	FairGPUHours     float64 `json:"fair_gpu_hours"`
	// OfFairPercent is the first of the second; nil where nothing was due to it.
	OfFairPercent *float64 `json:"of_fair_percent,omitempty"`
	// Jobs that started, and how long they had waited for it.
	Jobs            int     `json:"jobs"`
	MeanWaitSeconds float64 `json:"mean_wait_seconds"` // a sum until the end
}

// ParseQueue reads a queue from text: its name, its weight and, if it has a guarantee, the
// GPUs that it is guaranteed, such as vision=2 or vision=2:64.
func ParseQueue(text string) (quota.Queue, error) {
	name, rest, _ := strings.Cut(text, "=")
	weight, guaranteed, guarantees := strings.Cut(rest, ":")
	q := quota.Queue{Name: name}
	var err, wrong error
	q.Weight, err = strconv.ParseInt(weight, 10, 32)
	if guarantees {
		var n int64
		n, wrong = strconv.ParseInt(guaranteed, 10, 32)
		q.Guaranteed = q.Guaranteed.Set(gpus, n)
	}
	if name == "" || err != nil || wrong != nil || q.Weight < 1 || q.Guaranteed.Get(gpus) < 0 {
		return q, fmt.Errorf("%q is not NAME=WEIGHT, such as vision=2, or NAME=WEIGHT:GPUS with what is guaranteed, such as vision=2:64", text)
	}
	return q, nil
}

// deal puts jobs that name no queue into the queues in turn.
func deal(jobs []Job, queues []quota.Queue) []Job {
	if len(queues) == 0 {
		return jobs
	}
	jobs = slices.Clone(jobs)
	for i := range jobs {
		if jobs[i].Queue == "" {
			jobs[i].Queue = queues[i%len(queues)].Name
		}
	}
	return jobs
}

// divide tells the core of the queues.
func (s *live) divide(queues []quota.Queue) error {
	if len(queues) == 0 {
		return nil
	}
	tree, faults := quota.New(queues)
	if len(faults) > 0 {
		return fmt.Errorf("queue %s: %s: %s", faults[0].Queue, faults[0].Field, faults[0].Text)
	}
	s.tree = tree
	s.step(0, core.QueuesSeen{Tree: tree, Charge: func(amounts cluster.Resources, _, _ string) cluster.Resources { return amounts }})
	return nil
}

// reorder gives those who wait their place anew: whose turn it is has changed.
func (s *live) reorder() {
	if s.tree == nil {
		return
	}
	for _, e := range s.queue {
		e.key, _ = s.core.QueueKey(e.pods[0].uid)
	}
	slices.SortStableFunc(s.queue, byPlace)
}

// fine is the unit in which GPUs are divided.
const fine = 1 << 20

// shares takes in what the queues hold from one event to the next.
func (r *record) shares(from, to int64, s *live) {
	if from, to = max(from, r.first), min(to, r.last); s == nil || s.tree == nil || to <= from {
		return
	}
	hours := float64(to-from) / 3600
	held, wanted, waits := s.demand()
	borrowed, sum := map[string]int64{}, int64(0)
	for i := range r.rep.Queues {
		q := &r.rep.Queues[i]
		q.GPUHours += float64(held[q.Queue]) * hours
		given, _ := s.tree.Queue(q.Queue)
		guaranteed := given.Guaranteed.Get(gpus)
		borrowed[q.Queue] = max(0, held[q.Queue]-guaranteed)
		sum += borrowed[q.Queue] * fine
		for _, wants := range wanted { // what is guaranteed goes to the most important
			own := min(guaranteed, wants[q.Queue])
			guaranteed -= own
			wants[q.Queue] = (wants[q.Queue] - own) * fine
		}
	}
	if !waits {
		return
	}
	fair := s.tree.Fair(sum, wanted...)
	for i := range r.rep.Queues {
		q := &r.rep.Queues[i]
		q.BorrowedGPUHours += float64(borrowed[q.Queue]) * hours
		q.FairGPUHours += float64(fair[q.Queue]) / fine * hours
	}
}

// demand is the GPUs that queues hold, and those that they hold or wait for by the
// priority of their jobs, the highest first. waits: some job waits for GPUs.
func (s *live) demand() (held map[string]int64, wanted []map[string]int64, waits bool) {
	held = map[string]int64{}
	by := map[int]map[string]int64{}
	want := func(t *task, n int64) {
		if by[t.Priority] == nil {
			by[t.Priority] = map[string]int64{}
		}
		by[t.Priority][t.Queue] += n
	}
	for _, t := range s.tasks {
		n := int64(max(0, t.size())) * t.GPUsPerWorker
		held[t.Queue] += n
		want(t, n)
	}
	for _, e := range s.queue {
		n := e.gpus()
		want(e.task, n)
		waits = waits || n > 0
	}
	for _, priority := range slices.Backward(slices.Sorted(maps.Keys(by))) {
		wanted = append(wanted, by[priority])
	}
	return held, wanted, waits
}

// gpus is what the job asks for.
func (e *entry) gpus() int64 {
	workers := int64(len(e.pods))
	if e.pods[0].master {
		workers--
	}
	return workers * e.task.GPUsPerWorker
}

// leastFair is the GPU hours below which what is fair is the rounding of shares.
const leastFair = 1e-4

// sumUpQueues turns what was gathered into ratios.
func (r *record) sumUpQueues() {
	for i := range r.rep.Queues {
		q := &r.rep.Queues[i]
		if q.FairGPUHours > leastFair {
			q.OfFairPercent = new(100 * q.BorrowedGPUHours / q.FairGPUHours)
		}
		q.MeanWaitSeconds /= float64(max(1, q.Jobs))
	}
}
