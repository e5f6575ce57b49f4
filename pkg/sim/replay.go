package sim

import (
	"container/heap"
	"fmt"
	"slices"
	"strings"

	"lockstep.dev/lockstep/pkg/cluster"
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
	// Elastic lets jobs change their size, with the policy lockstep; nil: all keep the
	// size that they ask for.
	Elastic *ElasticTerms
}

// Replay runs a gang trace on a cluster, from the first submission to the end of
// the last job. Jobs that would not fit if the cluster were empty are left out.
// Time is in whole seconds; at one moment ends come first, then submissions, then
// starts, then changes of size.
func Replay(nodes []cluster.Node, levels []topology.Level, jobs []Job, options ReplayOptions) (*ReplayReport, error) {
	r, err := run(nodes, levels, jobs, options)
	if err != nil {
		return nil, err
	}
	return r.record.report(), nil
}

// run is a replay that has come to its end.
func run(nodes []cluster.Node, levels []topology.Level, jobs []Job, options ReplayOptions) (*replay, error) {
	r := &replay{machine: newMachine(nodes, levels)}
	if err := r.employ(jobs, options); err != nil {
		return nil, err
	}
	if r.machine.total == 0 || len(jobs) == 0 {
		return nil, fmt.Errorf("there is nothing to replay: %d GPUs, %d jobs", r.machine.total, len(jobs))
	}
	r.record = newRecord(r.machine, options.Policy, jobs)
	for len(jobs) > 0 || len(r.events) > 0 {
		now := r.next(jobs)
		r.record.pass(r.now, now, r.machine, len(r.scheduler.waiting()))
		r.now = now
		for len(r.events) > 0 && r.events[0].at == now {
			heap.Pop(&r.events).(event).happen()
		}
		for len(jobs) > 0 && jobs[0].SubmitSeconds == now {
			if err := r.submit(&jobs[0]); err != nil {
				return nil, err
			}
			jobs = jobs[1:]
		}
		r.scheduler.start(now, r.started)
		r.elastic.consider()
	}
	if left := len(r.scheduler.waiting()); left > 0 {
		return nil, fmt.Errorf("%d jobs wait on an idle cluster that could hold each of them", left)
	}
	return r, nil
}

// replay is the event loop's state.
type replay struct {
	now       int64
	seq       int
	machine   *Machine
	scheduler scheduler
	elastic   *resizer // nil: jobs keep their size
	events    events
	record    *record
}

// employ makes the scheduler.
func (r *replay) employ(jobs []Job, options ReplayOptions) error {
	switch {
	case !slices.Contains(Policies, options.Policy):
		return fmt.Errorf("unknown policy %q: one of %s", options.Policy, strings.Join(Policies, ", "))
	case options.Policy == "lockstep":
		live := newLive(r.machine, options.PatienceSeconds)
		r.scheduler = live
		if options.Elastic != nil {
			r.elastic = newResizer(r, live, *options.Elastic)
		}
		return nil
	case options.Elastic != nil:
		return fmt.Errorf("the policy %q cannot change the size of jobs; lockstep can", options.Policy)
	}
	pods, err := newPodByPod(options.Policy, jobs, options.Seed)
	r.scheduler = &baseline{machine: r.machine, pods: pods, patience: options.PatienceSeconds}
	return err
}

// event is something that happens at a moment; of several those planned first.
type event struct {
	at     int64
	seq    int
	happen func()
}

// events is a heap, the earliest first.
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}

// at plans something.
func (r *replay) at(when int64, happen func()) {
	r.seq++
	heap.Push(&r.events, event{when, r.seq, happen})
}

// next is the next moment at which something happens.
func (r *replay) next(jobs []Job) int64 {
	switch {
	case len(r.events) == 0:
		return jobs[0].SubmitSeconds
	case len(jobs) == 0:
		return r.events[0].at
	}
	return min(jobs[0].SubmitSeconds, r.events[0].at)
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
	t := &task{Job: job, request: req, floor: job.Workers, started: -1}
	r.elastic.submitted(t)
	r.scheduler.submit(r.now, t)
	return nil
}

// started takes in that a job got nodes.
func (r *replay) started(t *task) {
	t.started, t.resized = r.now, r.now
	t.work = work{at: r.now, since: r.now, rate: t.rate(t.size(), r.machine.largest())}
	r.record.started(r.now, t, r.machine)
	r.elastic.started(t)
	r.expect(t)
}

// expect plans the end of a job as it runs now.
func (r *replay) expect(t *task) {
	t.version++
	version := t.version
	r.at(t.work.end(float64(t.RunSeconds())), func() {
		if t.version == version {
			r.ended(t)
		}
	})
}

func (r *replay) ended(t *task) {
	r.record.charge(t, r.now)
	r.scheduler.ended(r.now, t)
	r.record.ended(t, r.now)
	r.elastic.ended(t)
}
