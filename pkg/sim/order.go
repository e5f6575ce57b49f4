package sim

import "slices"

// patientQueue tries jobs by priority and then by age. Jobs that do not fit are
// passed over until they have lost patience.
type patientQueue struct {
	patience int64
	jobs     []*Waiting // in the order in which they are tried
}

func (q *patientQueue) Len() int { return len(q.jobs) }

func (q *patientQueue) Submit(_ int64, job *Waiting) {
	at, _ := slices.BinarySearchFunc(q.jobs, job, func(a, b *Waiting) int {
		if a.Priority >= b.Priority {
			return -1 // came earlier, as all in the queue did
		}
		return 1
	})
	q.jobs = slices.Insert(q.jobs, at, job)
}

func (q *patientQueue) Start(now int64, try func(*Waiting) bool) {
	kept := q.jobs[:0]
	for i, job := range q.jobs {
		if try(job) {
			continue
		}
		kept = append(kept, job)
		if now-job.SubmitSeconds > q.patience {
			kept = append(kept, q.jobs[i+1:]...)
			break
		}
	}
	clear(q.jobs[len(kept):])
	q.jobs = kept
}
