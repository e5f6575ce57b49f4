package sim

import (
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/autoscale"
	"lockstep.dev/lockstep/pkg/placement"
)

// ElasticTerms say what a change of size costs and who decides on it.
type ElasticTerms struct {
	// RestartSeconds pass at every change until all Workers have met again, and what
	// was done since the last checkpoint is lost; those come every CheckpointSeconds.
	RestartSeconds, CheckpointSeconds int64
	// GraceSeconds is how long Workers that have to leave keep their nodes, to save
	// their work.
	GraceSeconds int64
	Recommender  autoscale.Recommender
}

// DefaultElasticTerms are those of a PyTorchJob that says nothing: a minute to start
// again, a checkpoint every five, a minute's notice.
func DefaultElasticTerms() ElasticTerms {
	return ElasticTerms{RestartSeconds: 60, CheckpointSeconds: 300, GraceSeconds: 60, Recommender: autoscale.WaterFilling{}}
}

// resizer does in a replay what the controller does with elastic jobs: it follows a
// recommender. A nil resizer lets every job keep its size.
type resizer struct {
	*replay
	live    *live
	terms   ElasticTerms
	running []*task // elastic jobs, in the order of their start
	leaving int     // jobs with Workers that have to leave and have not yet
	last    int64   // when the recommender was asked
	changed bool    // something has, since then
	planned bool    // it will be asked again
}

// The recommender is asked soon after something has changed and while somebody waits,
// and now and then because jobs grow older.
const (
	askSoon  = 60
	askLater = 600
)

func newResizer(r *replay, live *live, terms ElasticTerms) *resizer {
	return &resizer{replay: r, live: live, terms: terms, last: -askLater}
}

// submitted lets an elastic job start with as few Workers as it can run with.
func (z *resizer) submitted(t *task) {
	if z != nil {
		t.floor = t.MinWorkers
		z.changed = true
	}
}

func (z *resizer) started(t *task) {
	if z == nil {
		return
	}
	z.changed = true
	if t.Elastic() {
		z.running = append(z.running, t)
	}
}

func (z *resizer) ended(t *task) {
	if z == nil {
		return
	}
	z.changed = true
	z.running = slices.DeleteFunc(z.running, func(other *task) bool { return other == t })
}

// consider plans when the recommender is asked next.
func (z *resizer) consider() {
	if z == nil || z.planned || len(z.running) == 0 {
		return
	}
	wait := int64(askLater)
	if z.changed || len(z.live.queue) > 0 {
		wait = askSoon
	}
	z.planned = true
	z.at(max(z.now, z.last+wait), z.ask)
}

// ask lets the recommender decide and carries out what it says: first what frees
// room, and growth when that is free.
func (z *resizer) ask() {
	z.planned = false
	if z.leaving > 0 || len(z.running) == 0 {
		return
	}
	z.last, z.changed = z.now, false
	tasks := slices.Clone(z.running)
	decisions := z.terms.Recommender.Recommend(z.situation())
	for i, d := range decisions {
		if d.Target < d.Current {
			z.shrink(tasks[i], d)
		}
	}
	for i, d := range decisions {
		if z.leaving == 0 && d.Target > d.Current {
			z.grow(tasks[i], d)
		}
	}
}

// situation is what the recommender is told.
func (z *resizer) situation() autoscale.Situation {
	var s autoscale.Situation
	placed, gangs := map[string]autoscale.Placed{}, map[string]placement.Request{}
	for _, t := range z.running {
		s.Jobs = append(s.Jobs, autoscale.Job{
			Name: t.Name, Min: t.MinWorkers, Max: t.MaxWorkers, Current: t.size(),
			GPUs: int(t.GPUsPerWorker), NodeGPUs: z.machine.largest(),
			Age: seconds(z.now - t.started), Settled: seconds(z.now - t.resized),
			RestartCost: seconds(z.terms.RestartSeconds + z.terms.CheckpointSeconds/2),
		})
		placed[t.Name] = autoscale.Placed{
			Worker: t.workerClass(), Required: t.request.Required,
			Others: t.nodes[:t.masters()], Workers: t.nodes[t.masters():],
		}
	}
	for _, t := range z.live.waiting() {
		s.Pending = append(s.Pending, autoscale.Pending{
			Name: t.Name, GPUs: t.floor * int(t.GPUsPerWorker), Waited: seconds(z.now - t.SubmitSeconds),
		})
		gangs[t.Name] = t.sized(t.floor)
	}
	s.Room = autoscale.NewIndexRoom(z.machine.Index, placed, gangs)
	return s
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// shrink lets the last Workers of a job go; their nodes are free when they have left.
func (z *resizer) shrink(t *task, d autoscale.Decision) {
	z.record.charge(t, z.now)
	nodes := z.live.shrink(z.now, t, d.Current-d.Target)
	z.resize(t, d.Verdict)
	z.leaving++
	z.at(z.now+z.terms.GraceSeconds, func() {
		z.live.free(t, nodes)
		z.leaving--
		z.changed = true
	})
}

// grow adds Workers to a job, as many as find a node.
func (z *resizer) grow(t *task, d autoscale.Decision) {
	z.record.charge(t, z.now)
	if z.live.grow(z.now, t, d.Target-d.Current) > 0 {
		z.resize(t, d.Verdict)
	}
}

// resize starts a job again at the size that it has now.
func (z *resizer) resize(t *task, why autoscale.Verdict) {
	lost := t.work.restart(z.now, z.terms)
	t.work.rate = t.rate(t.size(), z.machine.largest())
	t.resized = z.now
	z.record.resized(t, why, lost)
	z.expect(t)
}
