package sim

import (
	"container/heap"
	"fmt"
	"slices"
	"strings"

	"lockstep.dev/lockstep/pkg/autoscale"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/quota"
	"lockstep.dev/lockstep/pkg/topology"
)

// ReplayOptions say how to replay a gang trace.
type ReplayOptions struct {
	// Policy is one of Policies.
	Policy string
	// PatienceSeconds is how long a job lets others that came later start before it, with
	// all policies but lockstep. Once it has waited for longer, nothing behind it starts.
	PatienceSeconds int64
	// ReserveAfterSeconds is how long a job waits before lockstep reserves room for it;
	// 0: for ever. Preemption lets it end jobs for more important ones.
	ReserveAfterSeconds int64
	// ReclaimAfterSeconds is how long a job of a queue waits before lockstep ends jobs for
	// it that other queues run beyond their fair share; 0: for ever.
	ReclaimAfterSeconds int64
	Preemption          bool
	// DeclareDurations lets jobs tell lockstep for how long they will run.
	DeclareDurations bool
	// Seed is that of the policy random.
	Seed  int64
	Costs Costs
	// Recommender lets lockstep change the size of elastic jobs; nil: all keep the size
	// that they ask for.
	Recommender autoscale.Recommender
	// Queues share the cluster by their weights; jobs that name none are in them in turn.
	Queues []quota.Queue
	// Load is the GPU time that the jobs ask for, over what there is while they arrive:
	// their arrivals are drawn together or apart until it is that. 0 leaves them.
	Load float64
	// Stopped is asked again and again; an error ends the replay. Nil: nothing does.
	Stopped func() error
}

// Costs are those of stopping a job.
type Costs struct {
	// RestartSeconds pass until all Workers have met again after a change of size or an
	// eviction, and what was done since the last checkpoint is lost; those come every
	// CheckpointSeconds.
	RestartSeconds, CheckpointSeconds int64
	// GraceSeconds is how long pods that have to leave keep their nodes, to save their work.
	GraceSeconds int64
}

// DefaultCosts are a minute to start again, a checkpoint every five, and the minute's
// notice that a PyTorchJob gives if it says nothing.
func DefaultCosts() Costs { return Costs{RestartSeconds: 60, CheckpointSeconds: 300, GraceSeconds: 60} }

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
	jobs = stretched(nodes, deal(jobs, options.Queues), options.Load)
	if err := r.employ(jobs, options); err != nil {
		return nil, err
	}
	if r.machine.total == 0 || len(jobs) == 0 {
		return nil, fmt.Errorf("there is nothing to replay: %d GPUs, %d jobs", r.machine.total, len(jobs))
	}
	r.record = newRecord(r.machine, options.Policy, jobs)
	for _, q := range options.Queues {
		r.record.rep.Queues = append(r.record.rep.Queues, QueueShare{Queue: q.Name, Weight: max(1, q.Weight)})
	}
	for len(jobs) > 0 || len(r.events) > 0 {
		now := r.next(jobs)
		if options.Stopped != nil {
			if err := options.Stopped(); err != nil {
				return nil, fmt.Errorf("stopped at second %d of the trace: %w", r.now, err)
			}
		}
		r.record.pass(r.now, now, r.machine, len(r.scheduler.waiting()), r.live.kept())
		r.record.shares(r.now, now, r.live)
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
		r.evict()
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
	live      *live // the scheduler, if it is this one
	costs     Costs
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
		r.live = newLive(r.machine, options)
		r.scheduler = r.live
		if r.costs = options.Costs; r.costs == (Costs{}) {
			r.costs = DefaultCosts()
		}
		if err := r.live.divide(options.Queues); err != nil {
			return err
		}
		if options.Recommender != nil {
			r.elastic = &resizer{replay: r, recommender: options.Recommender, last: -askLater}
		}
		return nil
	case len(options.Queues) > 0:
		return fmt.Errorf("the policy %q knows of no queues; lockstep does", options.Policy)
	case options.Recommender != nil:
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
	t := &task{Job: job, request: req, floor: job.Workers, started: -1, reserved: -1}
	r.elastic.submitted(t)
	r.scheduler.submit(r.now, t)
	return nil
}

// started takes in that a job got nodes, for the first time or after an eviction.
func (r *replay) started(t *task) {
	since := r.now
	if t.started < 0 {
		t.started = r.now
		r.record.started(r.now, t, r.machine)
	} else {
		since += r.costs.RestartSeconds
	}
	t.charged, t.resized, t.whole = since, r.now, t.size() == t.Workers
	t.work = work{done: t.work.done, at: r.now, since: since, rate: t.rate(t.size(), r.machine.largest())}
	r.elastic.started(t)
	r.expect(t)
}

// evict ends what the scheduler wants to be ended. A job that loses a part of its floor
// is ended as a whole, and waits again.
func (r *replay) evict() {
	if r.live == nil {
		return
	}
	victims := r.live.victims
	r.live.victims = nil
	for _, v := range victims {
		t := v.task
		whole := len(t.pods)-len(v.uids) < t.floor+t.masters()
		if whole {
			v.uids = nil
			for _, p := range t.pods {
				v.uids = append(v.uids, p.uid)
			}
		}
		r.live.mark(r.now, t, v.uids, v.why)
		if !whole {
			r.record.charge(t, r.now)
			r.leave(t, v.uids)
			r.elastic.resize(t, autoscale.GiveWay)
			continue
		}
		r.record.charge(t, r.now-t.work.unsaved(r.now, r.costs))
		r.leave(t, v.uids)
		t.version++ // it does not end as was expected
		r.record.preempted(t, t.work.restart(r.now, r.costs))
		r.elastic.ended(t)
		r.scheduler.submit(r.now, t)
	}
}

// leave lets pods of a job go; their nodes are free when their grace is over.
func (r *replay) leave(t *task, uids []string) {
	gone := r.live.remove(r.now, t, uids)
	r.at(r.now+r.costs.GraceSeconds, func() {
		r.live.free(gone)
		r.elastic.note()
	})
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
