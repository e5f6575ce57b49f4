package autoscale_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep.dev/lockstep/pkg/autoscale"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/topology"
)

const gpu = 4 // place of the GPUs

// racks is a cluster of nodes with 4 GPUs each, two to a rack, with so many free.
func racks(free ...int64) (*placement.Index, *topology.Tree) {
	nodes := make([]cluster.Node, len(free))
	for i := range nodes {
		nodes[i] = cluster.Node{
			Name: string(rune('a' + i)), Labels: map[string]string{"rack": string(rune('0' + i/2))},
			Allocatable: cluster.Resources{}.Set(gpu, 4), Free: cluster.Resources{}.Set(gpu, free[i]),
		}
	}
	tree := topology.Build([]topology.Level{{Name: "rack", Key: "rack"}}, nodes)
	return placement.NewIndex(nodes, tree), tree
}

func freeOn(x *placement.Index) []int64 {
	var free []int64
	for i := range x.Len() {
		free = append(free, x.Node(i).Free.Get(gpu))
	}
	return free
}

func workersOf(n int64) placement.Class {
	return placement.Class{Requests: cluster.Resources{}.Set(gpu, n), Count: 1}
}

func TestIndexRoom(t *testing.T) {
	x, tree := racks(4, 2, 4, 4)
	rack, _ := tree.LevelOf("rack")
	room := autoscale.NewIndexRoom(x, map[string]autoscale.Placed{
		"loose": {Worker: workersOf(2), Workers: []int{1}},
		"tight": {Worker: workersOf(2), Required: rack, Workers: []int{1}},
	}, map[string]placement.Request{"gang": {Classes: []placement.Class{{Requests: cluster.Resources{}.Set(gpu, 4), Count: 2}}, Required: rack}})
	want := func(what string, free ...int64) {
		t.Helper()
		if diff := cmp.Diff(free, freeOn(x)); diff != "" {
			t.Errorf("%s: free GPUs (-want +got):\n%s", what, diff)
		}
	}
	if !room.Grow("loose", 2) {
		t.Error("there is room for two more")
	}
	want("one goes to the same node, one to the same rack", 2, 0, 4, 4)
	if room.Grow("tight", 2) {
		t.Error("the rack has room for one Worker, and not for two")
	}
	want("a refusal takes nothing", 2, 0, 4, 4)
	room.Shrink("loose", 1)
	want("the last to come goes first", 4, 0, 4, 4)
	if !room.Start("gang") {
		t.Error("the other rack is free")
	}
	want("the gang has the other rack", 4, 0, 0, 0)
	room.Shrink("tight", 1)
	want("a Worker that was there before goes too", 4, 2, 0, 0)
	if !room.Grow("tight", 3) {
		t.Error("the rack has room for three Workers")
	}
	room.Reset()
	want("all is as before", 4, 2, 4, 4)
	if room.Grow("unknown", 1) || room.Start("unknown") {
		t.Error("nobody knows these")
	}
}

// TestRecommendNearTheGang: idle GPUs in another rack are no room for a job that has
// to stay in its own, and surplus is taken back where the gang that waits can use it.
func TestRecommendNearTheGang(t *testing.T) {
	x, tree := racks(0, 0, 4, 0, 0, 0)
	rack, _ := tree.LevelOf("rack")
	job := func(name string) autoscale.Job {
		return autoscale.Job{Name: name, Min: 1, Current: 2, Max: 4, GPUs: 4, NodeGPUs: 4, Age: time.Hour, Settled: time.Hour}
	}
	jobs := map[string]autoscale.Placed{
		"a": {Worker: workersOf(4), Required: rack, Workers: []int{0, 1}},
		"b": {Worker: workersOf(4), Required: rack, Workers: []int{4, 5}},
	}
	room := autoscale.NewIndexRoom(x, jobs, nil)
	s := autoscale.Situation{Jobs: []autoscale.Job{job("a"), job("b")}, Room: room}
	for _, d := range (autoscale.WaterFilling{}).Recommend(s) {
		if d.Target != 2 || d.Verdict != autoscale.NoRoom {
			t.Errorf("%+v: there is no room in its rack", d)
		}
	}
	gang := placement.Request{Classes: []placement.Class{{Requests: cluster.Resources{}.Set(gpu, 4), Count: 2}}, Required: rack}
	jobs["b"] = autoscale.Placed{Worker: workersOf(4), Workers: []int{4, 3}}
	s.Room = autoscale.NewIndexRoom(x, jobs, map[string]placement.Request{"gang": gang})
	s.Pending = []autoscale.Pending{{Name: "gang", GPUs: 8}}
	decisions := autoscale.WaterFilling{}.Recommend(s)
	if decisions[0].Target != 2 || decisions[1].Target != 1 || decisions[1].Verdict != autoscale.GiveWay {
		t.Errorf("%+v: only b's second Worker is in the gang's way", decisions)
	}
	if diff := cmp.Diff([]int64{0, 0, 4, 0, 0, 0}, freeOn(x)); diff != "" {
		t.Errorf("the index is not as it was (-want +got):\n%s", diff)
	}
}
