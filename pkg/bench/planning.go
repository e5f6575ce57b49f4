package bench

import (
	"fmt"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/topology"
)

// planning is the planner with a cluster like that of a stage.
type planning struct {
	gpu   int // place in the vocabulary
	nodes []cluster.Node
	tree  *topology.Tree
	index *placement.Index
}

// newPlanning makes the cluster from the free GPUs of its nodes.
func newPlanning(free []int) *planning {
	p := &planning{gpu: cluster.NewVocabulary().Index("nvidia.com/gpu")}
	for i, n := range free {
		empty := cluster.Resources{}.Set(cluster.CPU, 128_000).Set(cluster.Memory, 1<<40).Set(cluster.Pods, 110).Set(p.gpu, gpusPerNode)
		taken := cluster.Resources{}.Set(cluster.CPU, 1000).Set(p.gpu, int64(gpusPerNode-n))
		p.nodes = append(p.nodes, cluster.Node{
			Name:        fmt.Sprintf("node-%05d", i),
			Labels:      map[string]string{"block": fmt.Sprintf("b%04d", i/rackSize/racksPerBlock), "rack": fmt.Sprintf("r%04d", i/rackSize)},
			Allocatable: empty, Free: empty.Clone().Sub(taken),
		})
	}
	p.tree = topology.Build([]topology.Level{{Name: "block", Key: "block"}, {Name: "rack", Key: "rack"}}, p.nodes)
	p.index = placement.NewIndex(p.nodes, p.tree)
	return p
}

// class is a number of pods of one GPU.
func (p *planning) class(pods int) placement.Class {
	requests := cluster.Resources{}.Set(cluster.CPU, 1000).Set(cluster.Memory, 1<<30).Set(cluster.Pods, 1).Set(p.gpu, 1)
	return placement.Class{Requests: requests, Count: pods}
}

// request asks for pods of so many GPUs, wherever they are.
func (p *planning) request(pods, gpus int) placement.Request {
	class := p.class(pods)
	class.Requests = class.Requests.Set(p.gpu, int64(gpus))
	return placement.Request{Classes: []placement.Class{class}}
}

// book takes (-1) or gives back (1) what a plan of one such class uses.
func (p *planning) book(plan *placement.Plan, sign int64) {
	pod := p.class(1).Requests
	for _, share := range plan.Shares {
		node := p.index.Node(share.Node)
		node.Free = node.Free.Clone()
		for i, amount := range pod {
			node.Free = node.Free.Set(i, node.Free.Get(i)+sign*amount*int64(share.Counts[0]))
		}
		p.index.Update(share.Node, node)
	}
}
