package sim

import (
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
)

// newPodByPod places by one of Policies.
func newPodByPod(name string, jobs []Job, seed int64) (podByPod, error) {
	counts := map[placement.GPUShape]int{}
	for i := range jobs {
		counts[shapeOf(jobs[i].CPUPerWorker, jobs[i].GPUsPerWorker)] += jobs[i].Workers
	}
	policy, err := newPolicy(name, placement.NewMix(counts), seed)
	return podByPod{policy}, err
}

func shapeOf(cpu, gpus int64) placement.GPUShape {
	shape := placement.GPUShape{CPU: cpu, GPUs: int(gpus)}
	if gpus > 0 {
		shape.Milli = 1000
	}
	return shape
}

// podByPod places one member after the other by a policy for single pods. Of a
// required level it takes the first domain in which all find a place; it knows of
// no other levels.
type podByPod struct{ policy policy }

// place finds a node for every member, in rank order; nil if there is none for one.
func (b podByPod) place(m *Machine, req placement.Request) []int {
	for _, d := range m.tree.AtLevel(req.Required) {
		if req.Required > 0 && !m.tree.Domains[d].Known {
			continue
		}
		if nodes := b.placeIn(m, req, d); nodes != nil {
			return nodes
		}
	}
	return nil
}

func (b podByPod) placeIn(m *Machine, req placement.Request, d int) []int {
	free := map[int]cluster.Resources{} // of the nodes that got members
	var nodes []int
	for _, class := range req.Classes {
		pod := &OpenbPod{
			MemoryMiB: class.Requests.Get(cluster.Memory) >> 20,
			Shape:     shapeOf(class.Requests.Get(cluster.CPU), class.Requests.Get(gpus)),
		}
		for range class.Count {
			node := b.best(m, class, pod, free, d)
			if node < 0 {
				return nil
			}
			if free[node] == nil {
				free[node] = m.Index.Node(node).Free.Clone()
			}
			free[node] = free[node].Sub(class.Requests)
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// best is the node that the policy prefers for one more member; -1 if none has room.
func (b podByPod) best(m *Machine, class placement.Class, pod *OpenbPod, free map[int]cluster.Resources, d int) int {
	best := -1
	var bestScore, bestTie int64
	for node := range m.Index.Len() {
		if m.tree.Ancestor(m.tree.Leaf(node), m.tree.Domains[d].Level) != d {
			continue
		}
		n := m.Index.Node(node)
		have := n.Free
		if f := free[node]; f != nil {
			have = f
		}
		if !class.Requests.Fits(have) {
			continue
		}
		state := stateOf(n.Allocatable.Get(gpus), have)
		score, tie, _ := b.policy.score(&state, pod)
		if best < 0 || score > bestScore || score == bestScore && tie > bestTie {
			best, bestScore, bestTie = node, score, tie
		}
	}
	return best
}

// stateOf is a node with whole GPUs as the policies for single pods see it.
func stateOf(all int64, free cluster.Resources) openbState {
	left := free.Get(gpus)
	milli := make([]int64, all)
	for i := all - left; i < all; i++ {
		milli[max(0, i)] = 1000
	}
	return openbState{
		GPUState: placement.GPUState{CPU: free.Get(cluster.CPU), Milli: milli},
		memory:   free.Get(cluster.Memory) >> 20, left: 1000 * left, gpus: all,
	}
}

// usedBy counts the domains at each level that nodes lie in.
func usedBy(m *Machine, nodes []int) []int {
	used := make([]int, m.tree.Hosts()+1)
	for level := range used {
		seen := map[int]bool{}
		for _, node := range nodes {
			seen[m.tree.Ancestor(m.tree.Leaf(node), level)] = true
		}
		used[level] = len(seen)
	}
	return used
}
