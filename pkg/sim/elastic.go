package sim

import (
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/autoscale"
	"lockstep.dev/lockstep/pkg/placement"
)

// resizer does in a replay what the controller does with elastic jobs: it follows a
// recommender. A nil resizer lets every job keep its size.
type resizer struct {
	*replay
	recommender autoscale.Recommender
	running     []*task // elastic jobs, in the order of their start
	last        int64   // when the recommender was asked
	changed     bool    // something has, since then
	planned     bool    // it will be asked again
}

// The recommender is asked as often as the controller asks it where something has changed
// and while somebody waits, and now and then because jobs grow older.
const (
	askSoon  = 30
	askLater = 600
)

// note takes in that something has changed.
func (z *resizer) note() {
	if z != nil {
		z.changed = true
	}
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
	z.planned, z.last = false, z.now
	if len(z.live.leaving) > 0 || len(z.running) == 0 {
		return
	}
	z.changed = false
	tasks := slices.Clone(z.running)
	decisions := z.recommender.Recommend(z.situation())
	for i, d := range decisions {
		z.await(tasks[i], d.Verdict == autoscale.Awaiting)
		if d.Target < d.Current {
			z.shrink(tasks[i], d)
		}
	}
	for i, d := range decisions {
		if len(z.live.leaving) == 0 && d.Target > d.Current {
			z.grow(tasks[i], d)
		}
	}
}

// await notes since when a job is to change at its next checkpoint.
func (z *resizer) await(t *task, awaits bool) {
	switch {
	case !awaits:
		t.awaits = 0
	case t.awaits == 0:
		t.awaits = z.now
	}
	z.changed = z.changed || awaits
}

// situation is what the recommender is told.
func (z *resizer) situation() autoscale.Situation {
	var s autoscale.Situation
	placed, gangs := map[string]autoscale.Placed{}, map[string]placement.Request{}
	for _, t := range z.running {
		s.Jobs = append(s.Jobs, autoscale.Job{
			Name: t.Name, Min: t.MinWorkers, Max: t.MaxWorkers, Current: t.size(), Asked: t.Workers, Priority: int32(t.Priority),
			GPUs: int(t.GPUsPerWorker), NodeGPUs: z.machine.largest(),
			Age: seconds(z.now - t.started), Settled: seconds(z.now - t.resized),
			Unchanged:   t.whole && t.resized == t.started,
			RestartCost: seconds(z.costs.RestartSeconds), Checkpoint: z.checkpoint(t),
		})
		placed[t.Name] = autoscale.Placed{
			Worker: t.workerClass(), Required: t.request.Required,
			Others: nodesOf(t.pods[:t.masters()]), Workers: nodesOf(t.pods[t.masters():]),
		}
	}
	for _, t := range z.live.waiting() {
		gang := autoscale.Pending{
			Name: t.Name, GPUs: t.floor * int(t.GPUsPerWorker), Waited: seconds(z.now - t.SubmitSeconds), Priority: int32(t.Priority),
		}
		if t.Elastic() {
			gang.Floor, gang.Asked = t.floor, t.Workers
		}
		s.Pending = append(s.Pending, gang)
		gangs[t.Name] = t.sized(t.floor)
	}
	s.Room = autoscale.NewIndexRoom(z.machine.Index, placed, gangs)
	return s
}

// checkpoint is what a job has reported: how often it writes one it shows with the second.
func (z *resizer) checkpoint(t *task) *autoscale.Checkpoint {
	c := &autoscale.Checkpoint{Age: seconds(t.work.unsaved(z.now, z.costs))}
	if z.now-t.started >= z.costs.CheckpointSeconds {
		c.Every = seconds(z.costs.CheckpointSeconds)
	}
	if t.awaits > 0 {
		c.Awaited = seconds(z.now - t.awaits)
	}
	return c
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// shrink lets the last Workers of a job go.
func (z *resizer) shrink(t *task, d autoscale.Decision) {
	z.record.charge(t, z.now)
	var uids []string
	for _, p := range t.pods[t.masters()+d.Target:] {
		uids = append(uids, p.uid)
	}
	z.leave(t, uids)
	z.resize(t, d.Verdict)
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
	lost := t.work.restart(z.now, z.costs)
	t.work.rate = t.rate(t.size(), z.machine.largest())
	t.resized = z.now
	z.record.resized(t, why, lost)
	z.expect(t)
}
