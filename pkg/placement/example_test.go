package placement_test

import (
	"fmt"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/topology"
)

// A Master and four Workers of two GPUs each want to be in one rack. The first rack
// has more free GPUs, but only the second has two pairs of nodes that suffice.
func Example() {
	vocabulary := cluster.NewVocabulary()
	gpu := vocabulary.Index("nvidia.com/gpu")
	free := func(cpu, gpus int64) cluster.Resources {
		return cluster.Resources{}.Set(cluster.CPU, cpu).Set(cluster.Pods, 110).Set(gpu, gpus)
	}
	var nodes []cluster.Node
	for _, n := range []struct {
		name, rack string
		gpus       int64
	}{{"a", "r1", 3}, {"b", "r1", 3}, {"c", "r1", 3}, {"d", "r2", 4}, {"e", "r2", 4}} {
		nodes = append(nodes, cluster.Node{
			Name: n.name, Labels: map[string]string{"rack": n.rack},
			Allocatable: free(64000, 8), Free: free(64000, n.gpus),
		})
	}
	tree := topology.Build([]topology.Level{{Name: "rack", Key: "rack"}}, nodes)
	index := placement.NewIndex(nodes, tree)

	rack, _ := tree.LevelOf("rack")
	ask := func(cpu, gpus int64) cluster.Resources {
		return cluster.Resources{}.Set(cluster.CPU, cpu).Set(cluster.Pods, 1).Set(gpu, gpus)
	}
	plan, rejection := index.Solve(placement.Request{
		Classes:  []placement.Class{{Requests: ask(1000, 0), Count: 1}, {Requests: ask(8000, 2), Count: 4}},
		Required: rack,
	})
	if plan == nil {
		fmt.Println(rejection.Kind)
		return
	}
	fmt.Println("in", tree.Domains[plan.Domain].Path, "on", plan.Used[tree.Hosts()], "nodes")
	for rank, node := range plan.Assign([]int{0, 1, 1, 1, 1}) {
		fmt.Println("rank", rank, "on node", nodes[node].Name)
	}
	// Output:
	// in r2 on 2 nodes
	// rank 0 on node e
	// rank 1 on node e
	// rank 2 on node e
	// rank 3 on node d
	// rank 4 on node d
}
