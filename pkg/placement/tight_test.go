package placement

import (
	"testing"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// TestTightCluster: half of 400 nodes' GPUs are taken at random, and 20 gangs of 64
// want to be in a rack each although a dozen racks at most have so much room.
// With a preferred rack all are placed on hardly more racks than there must be.
func TestTightCluster(t *testing.T) {
	for seed := range int64(5) {
		nodes := fragmented(400, 0.5, seed)
		for i := range nodes {
			nodes[i].Labels = map[string]string{"r": nodes[i].Labels["r"]}
		}
		tree := topology.Build([]topology.Level{{Name: "rack", Key: "r"}}, nodes)
		index := NewIndex(nodes, tree)
		racks, single, hosts := 0, 0, 0
		for gang := range 20 {
			req := Request{Classes: []Class{class(64, 8000, 1)}, Preferred: 1}
			plan, r := index.Solve(req)
			if plan == nil {
				t.Fatalf("seed %d: gang %d rejected: %+v", seed, gang, r)
			}
			racks, hosts = racks+plan.Used[1], hosts+plan.Used[2]
			if plan.Preferred {
				single++
			}
			for _, share := range plan.Shares {
				n := index.Node(share.Node)
				n.Free = n.Free.Clone().Sub(addTimes(nil, req.Classes[0].Requests, share.Counts[0]))
				index.Update(share.Node, n)
			}
		}
		// A rack with 64 free GPUs holds one gang whole; every other gang needs two racks.
		whole := 0
		for _, d := range tree.AtLevel(1) {
			if freeGPUs(nodes, tree, d) >= 64 {
				whole++
			}
		}
		least := whole + 2*(20-whole)
		t.Logf("seed %d: %d racks in sum, at least %d; %d nodes", seed, racks, least, hosts)
		if single < whole {
			t.Errorf("seed %d: %d gangs are in one rack, %d can be", seed, single, whole)
		}
		if 100*racks > 105*least {
			t.Errorf("seed %d: %d racks in sum, more than 5 %% above the least, %d", seed, racks, least)
		}
	}
}

func freeGPUs(nodes []cluster.Node, tree *topology.Tree, d int) int64 {
	sum := int64(0)
	for i := range nodes {
		if tree.Ancestor(tree.Leaf(i), tree.Domains[d].Level) == d {
			sum += nodes[i].Free.Get(gpu)
		}
	}
	return sum
}
