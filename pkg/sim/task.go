package sim

import (
	"fmt"
	"math"

	"lockstep.dev/lockstep/pkg/autoscale"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
)

// task is a job during a replay.
type task struct {
	*Job
	request placement.Request // all members at the asked size
	floor   int               // Workers without which it does not run
	pods    []pod             // that run, in rank order: the Master first, if there is one
	made    int               // pods so far
	started int64             // for the first time; -1: not yet
	// reserved is when room was first reserved for it; -1: never.
	reserved int64
	resized  int64 // when it came to have its present size
	whole    bool  // it started with the size that it asks for
	awaits   int64 // since when it is to change at its next checkpoint; 0: it is not
	work     work
	version  int     // of the expected end
	held     float64 // GPU seconds, while jobs arrived
	charged  int64   // the moment that held is for
}

// pod is one member.
type pod struct {
	uid    string
	number int // of the job's pods, from 0
	master bool
	node   int
	since  int64 // when it got the node
}

// masters is 1 if there is a Master apart from the Workers.
func (j *Job) masters() int {
	if j.MasterCPU > 0 {
		return 1
	}
	return 0
}

// make makes pods that wait: the Master and Workers, or more Workers.
func (t *task) make(masters, workers int) []pod {
	pods := make([]pod, masters+workers)
	for i := range pods {
		pods[i] = pod{uid: fmt.Sprintf("%s-%d", t.Name, t.made), number: t.made, master: i < masters}
		t.made++
	}
	return pods
}

func (t *task) requests(p pod) cluster.Resources {
	if p.master {
		return t.request.Classes[0].Requests
	}
	return t.workerClass().Requests
}

func (t *task) workerClass() placement.Class { return t.request.Classes[len(t.request.Classes)-1] }

// size is the number of Workers that run.
func (t *task) size() int { return len(t.pods) - t.masters() }

// nodes are those of some pods.
func nodesOf(pods []pod) []int {
	nodes := make([]int, len(pods))
	for i, p := range pods {
		nodes[i] = p.node
	}
	return nodes
}

// sized is what the job asks for with a number of Workers.
func (t *task) sized(workers int) placement.Request {
	req := t.request
	req.Classes = append([]placement.Class(nil), req.Classes...)
	req.Classes[len(req.Classes)-1].Count = workers
	return req
}

// work is how far a job has come, in seconds of running at the asked size.
type work struct {
	done  float64
	rate  float64 // of doing, per second
	at    int64   // the moment that done is for
	since int64   // of running, from here on: what is done since the last checkpoint is lost at a restart
}

// advance brings work up to now.
func (w *work) advance(now int64) {
	if from := max(w.at, w.since); now > from {
		w.done += w.rate * float64(now-from)
	}
	w.at = max(w.at, now)
}

// restart loses what was done since the last checkpoint, and time until it goes on. It
// returns the seconds of running that are lost.
func (w *work) restart(now int64, costs Costs) float64 {
	w.advance(now)
	lost := w.unsaved(now, costs)
	w.done = max(0, w.done-w.rate*float64(lost))
	w.since = now + costs.RestartSeconds
	return float64(lost + costs.RestartSeconds)
}

// unsaved is the time since the last checkpoint, or since the job went on from it.
func (w *work) unsaved(now int64, costs Costs) int64 {
	return max(0, now-w.since) % costs.CheckpointSeconds
}

// end is when an amount of work will be done.
func (w *work) end(amount float64) int64 {
	return max(w.at, w.since) + int64(math.Ceil((amount-w.done)/w.rate))
}

// rate is how fast the job gets on with a number of Workers, over the asked size.
func (t *task) rate(workers, nodeGPUs int) float64 {
	if workers == t.Workers {
		return 1
	}
	curve := autoscale.Job{GPUs: int(t.GPUsPerWorker), NodeGPUs: nodeGPUs}
	return curve.SpeedUp(workers) / curve.SpeedUp(t.Workers)
}
