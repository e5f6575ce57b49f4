package sim

import (
	"container/heap"
	"fmt"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/topology"
)

// ReplayOptions say how to replay a gang trace.
type ReplayOptions struct {
	// Policy is one of Policies.
	Policy string
	// PatienceSeconds is how long a job lets others that came later start before it.
	// Once it has waited for longer, nothing behind it starts until it does.
	PatienceSeconds int64
	// Seed is that of the policy random.
	Seed int64
}

// Queue is the order in which waiting jobs are tried. The event loop tells it what
// happens; it is asked again after every event.
type Queue interface {
	// Submit takes in a job.
	Submit(now int64, job *Waiting)
	// Start offers jobs in the order of the queue. try starts a job if it has a
	// place; the queue forgets it then.
	Start(now int64, try func(job *Waiting) bool)
	// Len is the number of jobs that wait.
	Len() int
}

// Waiting is a job in the queue.
type Waiting struct {
	*Job
	request placement.Request
}

// run is a job with its places.
type run struct {
	job   *Waiting
	plan  *placement.Plan
	start int64
	end   int64
	seq   int
}

// running is a heap by end, then by start.
type running []*run

func (r running) Len() int { return len(r) }
func (r running) Less(i, j int) bool {
	if r[i].end != r[j].end {
		return r[i].end < r[j].end
	}
	return r[i].seq < r[j].seq
}
func (r running) Swap(i, j int) { r[i], r[j] = r[j], r[i] }
func (r *running) Push(x any)   { *r = append(*r, x.(*run)) }
func (r *running) Pop() any {
	last := len(*r) - 1
	x := (*r)[last]
	*r = (*r)[:last]
	return x
}

// Replay runs a gang trace on a cluster, from the first submission to the end of
// the last job. Jobs that would not fit if the cluster were empty are left out.
// Time is in whole seconds; at one moment ends come first, then submissions.
func Replay(nodes []cluster.Node, levels []topology.Level, jobs []Job, options ReplayOptions) (*ReplayReport, error) {
	placer, err := newPlacer(options.Policy, jobs, options.Seed)
	if err != nil {
		return nil, err
	}
	r := &replay{
		machine: newMachine(nodes, levels), placer: placer,
		queue: &patientQueue{patience: options.PatienceSeconds},
	}
	if r.machine.total == 0 || len(jobs) == 0 {
		return nil, fmt.Errorf("there is nothing to replay: %d GPUs, %d jobs", r.machine.total, len(jobs))
	}
	r.record = newRecord(r.machine, options.Policy, jobs)
	for i := range jobs {
		r.advance(jobs[i].SubmitSeconds)
		if err := r.submit(&jobs[i]); err != nil {
			return nil, err
		}
		// Jobs submitted at the same second are all in the queue before any starts.
		if i+1 == len(jobs) || jobs[i+1].SubmitSeconds > jobs[i].SubmitSeconds {
			r.start()
		}
	}
	r.advance(1<<63 - 1)
	if left := r.queue.Len(); left > 0 {
		return nil, fmt.Errorf("%d jobs wait on an idle cluster that could hold each of them", left)
	}
	return r.record.report(r.now), nil
}

// replay is the event loop's state.
type replay struct {
	now     int64
	seq     int
	machine *Machine
	placer  placer
	queue   Queue
	running running
	record  *record
}

// advance lets jobs end up to and including the given time.
func (r *replay) advance(until int64) {
	for len(r.running) > 0 && r.running[0].end <= until {
		now := r.running[0].end
		r.record.pass(r.now, now, r.machine, r.queue.Len())
		r.now = now
		for len(r.running) > 0 && r.running[0].end == now {
			done := heap.Pop(&r.running).(*run)
			r.machine.book(done.job.request, done.plan, -1)
			r.record.ended(done)
		}
		r.start()
	}
	if until < 1<<63-1 && until > r.now {
		r.record.pass(r.now, until, r.machine, r.queue.Len())
		r.now = until
	}
}

// submit puts a job into the queue, unless it can never run.
func (r *replay) submit(job *Job) error {
	req, err := job.request(r.machine.tree)
	if err != nil {
		return err
	}
	if r.record.least(req) == nil {
		r.record.rep.JobsNeverFit++
		return nil
	}
	r.queue.Submit(r.now, &Waiting{Job: job, request: req})
	return nil
}

// start lets the queue start what has a place now.
func (r *replay) start() {
	r.queue.Start(r.now, func(job *Waiting) bool {
		if job.GPUs() > r.machine.free {
			return false
		}
		plan := r.placer.place(r.machine, job.request)
		if plan == nil {
			return false
		}
		r.record.started(r.now, job, plan, r.machine)
		r.machine.book(job.request, plan, 1)
		r.seq++
		heap.Push(&r.running, &run{job, plan, r.now, r.now + job.RunSeconds(), r.seq})
		return true
	})
}
