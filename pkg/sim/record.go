package sim

import (
	"fmt"
	"slices"

	"lockstep.dev/lockstep/pkg/autoscale"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
)

// sizeBounds are the smallest numbers of GPUs of the classes in SizeClass.
var sizeBounds = []int64{0, 1, 2, 8, 9, 32, 64}

// shortestRun is what shorter runs count as in a slowdown.
const shortestRun = 600

// moments is the number of points in a timeline, about.
const moments = 400

// record gathers what is measured during a replay.
type record struct {
	rep         ReplayReport
	first, last int64 // submissions
	every       int64 // seconds between points of the timeline
	waits       [][]wait
	stretch     []stretchSum
	area        struct{ allocated, useful, free, kept, whole, wholeGPUs float64 } // times seconds
	usable      map[int]*struct{ sum, n float64 }
	total       int64
	emptied     *placement.Index
	leastOf     map[string][]int
	machine     *Machine
	outcomes    []outcome
}

// outcome is how a job that succeeded fared.
type outcome struct {
	*Job
	started, ended, reserved int64
}

type wait struct{ waited, ran int64 }

type stretchSum struct{ gangs, domains, overEmpty, overBest float64 }

// usableSizes are the numbers of GPUs per pod in Fragmentation.Usable.
var usableSizes = []int{1, 4, 8}

func newRecord(m *Machine, policy string, jobs []Job) *record {
	r := &record{
		first: jobs[0].SubmitSeconds, last: jobs[len(jobs)-1].SubmitSeconds, total: m.total,
		waits: make([][]wait, len(sizeBounds)), stretch: make([]stretchSum, m.tree.Hosts()+1),
		usable: map[int]*struct{ sum, n float64 }{}, leastOf: map[string][]int{}, machine: m,
	}
	r.rep.Policy = policy
	r.every = max(1, (r.last-r.first)/moments)
	nodes := make([]cluster.Node, m.Index.Len())
	for i := range nodes {
		nodes[i] = m.Index.Node(i)
		nodes[i].Free = nodes[i].Allocatable
	}
	r.emptied = placement.NewIndex(nodes, m.tree)
	for _, size := range usableSizes {
		r.usable[size] = &struct{ sum, n float64 }{}
	}
	return r
}

// least is the number of domains by level that a gang needs on the empty cluster;
// nil if it does not fit.
func (r *record) least(req placement.Request) []int {
	key := fmt.Sprint(req.Required, req.Classes)
	used, known := r.leastOf[key]
	if !known {
		if plan, _ := r.emptied.Solve(req); plan != nil {
			used = plan.Used
		}
		r.leastOf[key] = used
	}
	return used
}

// pass takes in the time from one event to the next, in which nothing changed: kept GPUs
// are free and reserved.
func (r *record) pass(from, to int64, m *Machine, waiting int, kept int64) {
	for at := (from + r.every - 1) / r.every * r.every; at < to && at <= r.last; at += r.every {
		if at < r.first {
			continue
		}
		r.rep.Timeline = append(r.rep.Timeline, Moment{
			Seconds: at, AllocatedPercent: percent(m.total-m.free, m.total), WaitingJobs: waiting, WholeNodes: m.whole,
		})
		r.measureUsable(m)
	}
	from, to = max(from, r.first), min(to, r.last)
	if to <= from {
		return
	}
	span := float64(to - from)
	r.area.allocated += span * float64(m.total-m.free)
	r.area.free += span * float64(m.free)
	r.area.kept += span * float64(kept)
	r.area.whole += span * float64(m.whole)
	r.area.wholeGPUs += span * float64(m.wholeGPUs())
}

// wholeGPUs is the number of GPUs on nodes all of whose GPUs are free.
func (m *Machine) wholeGPUs() int64 {
	sum := int64(0)
	for i := range m.Index.Len() {
		n := m.Index.Node(i)
		sum += int64(wholeNode(&n)) * n.Free.Get(gpus)
	}
	return sum
}

// measureUsable looks at the domains of the narrowest level above hosts: GPUs in
// the largest gang that one could take, of the free ones there.
func (r *record) measureUsable(m *Machine) {
	level := m.tree.Hosts() - 1
	for _, size := range usableSizes {
		best, share := int64(0), 0.0
		for _, d := range m.tree.AtLevel(level) {
			free, placeable := m.freeIn(d, int64(size))
			if placeable > best {
				best, share = placeable, float64(placeable)/float64(free)
			}
		}
		u := r.usable[size]
		u.sum, u.n = u.sum+share, u.n+1
	}
}

// freeIn is the free GPUs of a domain, and those that pods of a size could use.
func (m *Machine) freeIn(d int, size int64) (free, placeable int64) {
	if node := m.tree.Domains[d].Node; node >= 0 {
		free = max(0, m.Index.Node(node).Free.Get(gpus))
		return free, free / size * size
	}
	for _, child := range m.tree.Domains[d].Children {
		f, p := m.freeIn(child, size)
		free, placeable = free+f, placeable+p
	}
	return free, placeable
}

// started takes in that a job got nodes for the first time.
func (r *record) started(now int64, t *task, m *Machine) {
	class := 0
	for class+1 < len(sizeBounds) && t.GPUs() >= sizeBounds[class+1] {
		class++
	}
	r.waits[class] = append(r.waits[class], wait{now - t.SubmitSeconds, t.RunSeconds()})
	if i := slices.IndexFunc(r.rep.Queues, func(q QueueShare) bool { return q.Queue == t.Queue }); i >= 0 {
		q := &r.rep.Queues[i]
		q.Jobs, q.MeanWaitSeconds = q.Jobs+1, q.MeanWaitSeconds+float64(now-t.SubmitSeconds)
	}
	if t.Workers == 1 && t.MasterCPU == 0 || t.size() != t.Workers {
		return
	}
	used := usedBy(m, nodesOf(t.pods))
	least, best := r.least(t.request), used
	if r.rep.Policy != "lockstep" {
		best = m.leastNow(t)
	}
	for level := range r.stretch {
		s := &r.stretch[level]
		s.gangs++
		s.domains += float64(used[level])
		s.overEmpty += float64(used[level]) / float64(least[level])
		s.overBest += float64(used[level]) / float64(best[level])
	}
}

// leastNow is the number of domains by level that a job could have had when it got
// its nodes.
func (m *Machine) leastNow(t *task) []int {
	for _, p := range t.pods {
		m.give(p.node, t.requests(p))
	}
	best, _ := m.Index.Solve(t.request)
	for _, p := range t.pods {
		m.take(p.node, t.requests(p))
	}
	return best.Used
}

// charge takes in the GPU time that a job has held since it was last charged.
func (r *record) charge(t *task, now int64) {
	if span := min(now, r.last) - max(t.charged, r.first); span > 0 {
		t.held += float64(int64(t.size()) * t.GPUsPerWorker * span)
	}
	t.charged = now
}

// resized takes in a change of size, which cost seconds of running.
func (r *record) resized(t *task, why autoscale.Verdict, lost float64) {
	e := &r.rep.Resizes
	e.Total++
	if why == autoscale.Grow {
		e.Grown++
	} else if why == autoscale.GiveWay {
		e.GaveWay++
	}
	e.LostGPUHours += lost * float64(int64(t.size())*t.GPUsPerWorker) / 3600
}

// preempted takes in that a job was ended for another, which cost seconds of running.
func (r *record) preempted(t *task, lost float64) {
	r.rep.Preempted.Jobs++
	r.rep.Preempted.LostGPUHours += lost * float64(t.GPUs()) / 3600
}

// ended takes in the end of a run.
func (r *record) ended(t *task, now int64) {
	r.rep.MakespanSeconds = now - r.first
	if t.FailsAt > 0 {
		r.rep.JobsFailed++
		return
	}
	r.rep.JobsFinished++
	r.area.useful += t.held
	r.outcomes = append(r.outcomes, outcome{t.Job, t.started, now, t.reserved})
}

// report sums up.
func (r *record) report() *ReplayReport {
	rep := &r.rep
	span := float64(max(1, r.last-r.first))
	capacity := float64(r.total)
	rep.AllocatedPercent = 100 * r.area.allocated / capacity / span
	rep.KeptPercent = 100 * r.area.kept / capacity / span
	rep.UsefulPercent = 100 * r.area.useful / capacity / span
	r.sumUpQueues()
	var all []wait
	for class, waits := range r.waits {
		all = append(all, waits...)
		if len(waits) > 0 {
			rep.Waiting = append(rep.Waiting, sizeClass(sizeName(class), waits))
		}
	}
	rep.Waiting = append(rep.Waiting, sizeClass("all", all))
	for level := 1; level < len(r.stretch); level++ {
		s, n := r.stretch[level], max(1, r.stretch[level].gangs)
		rep.Stretch = append(rep.Stretch, LevelStretch{
			Level: r.machine.tree.LevelName(level), Gangs: int(s.gangs), MeanDomains: s.domains / n,
			MeanOverEmpty: s.overEmpty / n, MeanOverBest: s.overBest / n,
		})
	}
	f := &rep.Fragmentation
	f.FreeGPUs, f.WholeNodes = r.area.free/span, r.area.whole/span
	f.WholeNodePercent = 100 * r.area.wholeGPUs / max(1, r.area.free)
	for _, size := range usableSizes {
		u := r.usable[size]
		f.Usable = append(f.Usable, UsableShare{size, 100 * u.sum / max(1, u.n)})
	}
	return rep
}

func sizeName(class int) string {
	from := sizeBounds[class]
	if class+1 == len(sizeBounds) {
		return fmt.Sprintf("%d+", from)
	}
	if to := sizeBounds[class+1] - 1; to > from {
		return fmt.Sprintf("%d-%d", from, to)
	}
	return fmt.Sprint(from)
}

func sizeClass(name string, waits []wait) SizeClass {
	c := SizeClass{GPUs: name, Jobs: len(waits)}
	if len(waits) == 0 {
		return c
	}
	slices.SortFunc(waits, func(a, b wait) int { return int(max(-1, min(1, a.waited-b.waited))) })
	sum, slowdown := 0.0, 0.0
	for _, w := range waits {
		sum += float64(w.waited)
		slowdown += max(1, float64(w.waited+w.ran)/float64(max(w.ran, shortestRun)))
	}
	n := len(waits)
	c.MeanSeconds, c.MeanSlowdown = sum/float64(n), slowdown/float64(n)
	c.P50Seconds, c.P99Seconds, c.MaxSeconds = waits[NearestRank(n, 50)].waited, waits[NearestRank(n, 99)].waited, waits[n-1].waited
	return c
}

// NearestRank is the place, in a sorted list of n values, of the least one that so many percent
// of them do not exceed. Of fewer than a hundred values 99 % are all.
func NearestRank(n, percent int) int { return max(0, (n*percent+99)/100-1) }

func percent(part, whole int64) float64 { return 100 * float64(part) / float64(whole) }
