package sim

import (
	"fmt"
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/quota"
)

// QueueShare is what a queue of a replay got.
type QueueShare struct {
	Queue    string  `json:"queue"`
	Weight   int64   `json:"weight"`
	GPUHours float64 `json:"gpu_hours"` // held while jobs arrived
	// ContestedPercent is its part of the GPU time that was held while jobs of every queue
	// waited, and WeightPercent what its weight is of all weights.
	ContestedPercent float64 `json:"contested_percent"`
	WeightPercent    float64 `json:"weight_percent"`
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
	s.divided = true
	s.step(0, core.QueuesSeen{Tree: tree, Charge: func(amounts cluster.Resources, _, _ string) cluster.Resources { return amounts }})
	return nil
}

// reorder gives those who wait their place anew: whose turn it is has changed.
func (s *live) reorder() {
	if !s.divided {
		return
	}
	for _, e := range s.queue {
		e.key, _ = s.core.QueueKey(e.pods[0].uid)
	}
	slices.SortStableFunc(s.queue, byPlace)
}

// shares takes in what the queues hold from one event to the next.
func (r *record) shares(from, to int64, s *live) {
	if from, to = max(from, r.first), min(to, r.last); s == nil || !s.divided || to <= from {
		return
	}
	held, waits := map[string]float64{}, map[string]bool{}
	for _, t := range s.tasks {
		held[t.Queue] += float64(int64(max(0, t.size())) * t.GPUsPerWorker)
	}
	for _, e := range s.queue {
		waits[e.task.Queue] = true
	}
	contested := true
	for i := range r.rep.Queues {
		contested = contested && waits[r.rep.Queues[i].Queue]
	}
	for i := range r.rep.Queues {
		q := &r.rep.Queues[i]
		hours := held[q.Queue] * float64(to-from) / 3600
		q.GPUHours += hours
		if contested {
			q.ContestedPercent += hours // a percentage at the end
		}
	}
}

// sumUpQueues turns what was gathered into percentages.
func (r *record) sumUpQueues() {
	contested, weights := 0.0, int64(0)
	for _, q := range r.rep.Queues {
		contested, weights = contested+q.ContestedPercent, weights+q.Weight
	}
	for i := range r.rep.Queues {
		q := &r.rep.Queues[i]
		q.ContestedPercent = 100 * q.ContestedPercent / max(contested, 1e-9)
		q.WeightPercent = percent(q.Weight, weights)
	}
}
