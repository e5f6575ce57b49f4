package autoscale

import (
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
)

// Placed is a job as the planner sees it: what a Worker asks for and where it is.
type Placed struct {
	// Worker says what one asks for and where it may run; its Count is not used.
	Worker placement.Class
	// Required is the level of the topology one of whose domains holds the whole job.
	Required int
	// Others are the nodes of members that are no Workers; Workers those of the
	// Workers, by index.
	Others, Workers []int
}

// IndexRoom is a Room on a planner's index: more Workers have room where the planner
// finds places for them close to the others.
type IndexRoom struct {
	index *placement.Index
	jobs  map[string]Placed
	gangs map[string]placement.Request

	workers map[string][]int          // nodes, as tried
	before  map[int]cluster.Resources // what was free on nodes that were touched
}

// NewIndexRoom returns the room on an index for the jobs and gangs that a Situation
// names. It changes the index while it is used and puts everything back at Reset.
func NewIndexRoom(index *placement.Index, jobs map[string]Placed, gangs map[string]placement.Request) *IndexRoom {
	return &IndexRoom{index: index, jobs: jobs, gangs: gangs, workers: map[string][]int{}, before: map[int]cluster.Resources{}}
}

// Reset puts the index back to how it was.
func (r *IndexRoom) Reset() {
	for i, free := range r.before {
		n := r.index.Node(i)
		n.Free = free
		r.index.Update(i, n)
	}
	clear(r.before)
	clear(r.workers)
}

// Grow plans n more Workers around all members of the job.
func (r *IndexRoom) Grow(job string, n int) bool {
	placed, ok := r.jobs[job]
	if !ok {
		return false
	}
	have := r.at(job)
	class := placed.Worker
	class.Count = n
	req := placement.Request{
		Classes: []placement.Class{class}, Required: placed.Required,
		Fixed: append(append([]int(nil), placed.Others...), have...),
	}
	plan, _ := r.index.Solve(req)
	if plan == nil {
		return false
	}
	r.take(req, plan)
	r.workers[job] = append(have, plan.Assign(make([]int, n))...)
	return true
}

// Shrink frees the nodes of the Workers with the highest index.
func (r *IndexRoom) Shrink(job string, n int) {
	have := r.at(job)
	keep := max(0, len(have)-n)
	for _, node := range have[keep:] {
		r.change(node, r.jobs[job].Worker.Requests, -1)
	}
	r.workers[job] = have[:keep:keep]
}

// Start plans the whole gang.
func (r *IndexRoom) Start(gang string) bool {
	req, ok := r.gangs[gang]
	if !ok {
		return false
	}
	plan, _ := r.index.Solve(req)
	if plan != nil {
		r.take(req, plan)
	}
	return plan != nil
}

// at is where the job's Workers are by now.
func (r *IndexRoom) at(job string) []int {
	if nodes, ok := r.workers[job]; ok {
		return nodes
	}
	nodes := r.jobs[job].Workers
	return slices.Clip(nodes)
}

func (r *IndexRoom) take(req placement.Request, plan *placement.Plan) {
	for _, share := range plan.Shares {
		for c, count := range share.Counts {
			r.change(share.Node, req.Classes[c].Requests, count)
		}
	}
}

// change takes room for a number of members on a node, or frees it.
func (r *IndexRoom) change(node int, requests cluster.Resources, count int) {
	n := r.index.Node(node)
	if _, touched := r.before[node]; !touched {
		r.before[node] = n.Free.Clone()
	}
	n.Free = n.Free.Clone()
	for i, amount := range requests {
		n.Free = n.Free.Set(i, n.Free.Get(i)-amount*int64(count))
	}
	r.index.Update(node, n)
}
