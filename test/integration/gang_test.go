package integration

import (
	"fmt"
	"net/http"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

func TestGangOfThreeIsPlacedTogether(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 4)
	w.create(gangSpec{name: "job", floor: 3, members: []memberSpec{
		{role: "master", count: 1, gpus: "1"}, {role: "worker", count: 2, gpus: "1"},
	}})
	nodes := w.awaitPlaced("job", 3)
	for pod, node := range nodes {
		if node != nodes["job-master-0"] {
			t.Errorf("%s is on %s, the Master on %s; one node holds all three", pod, node, nodes["job-master-0"])
		}
	}
	w.awaitReason("job", "Placed")
}

func TestGangThatDoesNotFitHoldsNothingAndSaysWhy(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	w.create(gangOf("big", 3, "8"))
	w.awaitSays("big", "Impossible", "3 pods", "8 nvidia.com/gpu short of 24", "room for 2")
	// What it does not hold, another takes.
	w.create(gangOf("small", 2, "8"))
	w.awaitPlaced("small", 2)
	if placed := w.placed("big"); len(placed) > 0 {
		t.Errorf("members of the gang that does not fit are placed: %v", placed)
	}
}

func TestInterleavedGangsForThreeTimesTheCapacity(t *testing.T) {
	const gangs, size, fit = 30, 8, 10
	w := newWorld(t, fakenodes.Shape{}, fit)
	for g := range gangs {
		w.createGroup(gangOf(fmt.Sprintf("gang-%02d", g), size, "1"))
	}
	for i := range size { // the first pod of every gang, then the second, …
		for g := range gangs {
			w.createPods(w.pods(gangOf(fmt.Sprintf("gang-%02d", g), size, "1"))[i : i+1])
		}
	}
	w.await("10 whole gangs", func() (bool, string) {
		whole := 0
		counts := w.history.boundGangs()
		for _, n := range counts {
			if n == size {
				whole++
			}
		}
		return whole == fit, fmt.Sprint(counts)
	})
	for g := range gangs {
		name := fmt.Sprintf("gang-%02d", g)
		if n := len(w.placed(name)); n != 0 && n != size {
			t.Errorf("%s: %d of %d members are placed", name, n, size)
		}
		if w.history.boundGangs()[name] == 0 {
			w.awaitReason(name, "DoesNotFit")
		}
	}
}

func TestMastersAndWorkersThatDiffer(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 3)
	// The Master wants most of a node's CPU, a Worker all of a node's GPUs: they fit
	// side by side in one way only.
	w.create(gangSpec{name: "job", floor: 3, members: []memberSpec{
		{role: "master", count: 1, cpu: "100"}, {role: "worker", count: 2, gpus: "8", cpu: "64"},
	}})
	nodes := w.awaitPlaced("job", 3)
	if nodes["job-worker-0"] == nodes["job-worker-1"] || nodes["job-master-0"] == nodes["job-worker-0"] || nodes["job-master-0"] == nodes["job-worker-1"] {
		t.Errorf("placed on %v; each needs a node of its own", nodes)
	}
}

func TestRequiredRackThatNoRackCanGive(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 8) // two racks of 32 GPUs
	g := gangOf("wide", 5, "8")
	g.annotations = map[string]string{kube.RequiredTopology: "rack"}
	w.create(g)
	w.awaitSays("wide", "Impossible", "in one rack", "8 nvidia.com/gpu short of 40")
	if placed := w.placed("wide"); len(placed) > 0 {
		t.Errorf("placed all the same: %v", placed)
	}
	g = gangOf("narrow", 4, "8")
	g.annotations = map[string]string{kube.RequiredTopology: "rack"}
	w.create(g)
	w.sameRack(w.awaitPlaced("narrow", 4))
}

func TestUnknownTopologyLevel(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 1)
	g := gangOf("gang", 2, "1")
	g.annotations = map[string]string{kube.RequiredTopology: "aisle"}
	w.create(g)
	w.awaitSays("gang", "TopologyLevelUnknown", `"aisle"`, "rack") // the level, and those that exist
}

func TestPodsBeforeTheirPodGroup(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 1)
	g := gangOf("late", 2, "1")
	pods := w.pods(g)
	w.createPods(pods[:1])
	w.createGroup(g)
	w.awaitMessage("late", "WaitingForMembers", "1 of 2 members exist")
	w.createPods(pods[1:])
	w.awaitPlaced("late", 2)
}

func TestMinMemberAboveWhatExists(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 1)
	g := gangOf("short", 2, "1")
	g.floor = 5
	w.create(g)
	w.await("the number of members that are missing", func() (bool, string) {
		_, message := w.condition("short")
		return message == "2 of 5 members exist", message
	})
	if placed := w.placed("short"); len(placed) > 0 {
		t.Errorf("placed: %v", placed)
	}
}

func TestNodeDeletedWhileTheGangIsBeingPlaced(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 3)
	p := newProxy(t)
	reached, goOn := make(chan struct{}, 64), make(chan struct{})
	p.onBind(func(rw http.ResponseWriter, r *http.Request, forward http.Handler) {
		reached <- struct{}{}
		select {
		case <-goOn:
			forward.ServeHTTP(rw, r)
		case <-r.Context().Done():
		}
	})
	w.withScheduler(devcluster.ProgramOptions{Kubeconfig: p.kubeconfig})
	w.create(gangOf("first", 2, "8"))
	<-reached // its members are on their way to two of the three nodes
	w.create(gangOf("second", 2, "8"))
	w.awaitReason("second", "DoesNotFit")
	// The only node that is free goes, and two new ones come.
	used := map[string]bool{}
	close(goOn)
	for _, node := range w.awaitPlaced("first", 2) {
		used[node] = true
	}
	for _, node := range w.nodes {
		if !used[node] {
			w.must(env.cluster.FakeNodes().Delete(w.ctx, node))
		}
	}
	more, err := env.cluster.FakeNodes().Add(w.ctx, fakenodes.Shape{Labels: map[string]string{poolLabel: w.namespace}}, 2)
	w.must(err)
	w.nodes = append(w.nodes, more...)
	for pod, node := range w.awaitPlaced("second", 2) {
		if node != more[0] && node != more[1] {
			t.Errorf("%s is on %s, want one of the new nodes %v", pod, node, more)
		}
	}
}

// Members that may not share a node, which the planner does not know of: the
// scheduler's own filters refuse its plan, and it plans again around them.
func TestMembersThatMayNotShareANode(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 6)
	g := gangOf("apart", 4, "1")
	g.members[0].change = func(pod *v1.Pod) {
		pod.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{{
				TopologyKey:   v1.LabelHostname,
				LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{kube.PodGroupLabel: "apart"}},
			}},
		}}
	}
	w.create(g)
	used := map[string]bool{}
	for _, node := range w.awaitPlaced("apart", 4) {
		used[node] = true
	}
	if len(used) != 4 {
		t.Errorf("4 members that may not share a node are on %d nodes", len(used))
	}
}

func TestManyGangsOnAThousandNodes(t *testing.T) {
	const gangs, size = 200, 8
	w := newWorld(t, fakenodes.Shape{}, 0)
	w.addStillNodes(1000)
	for g := range gangs {
		w.create(gangOf(fmt.Sprintf("gang-%03d", g), size, "1"))
	}
	w.await("all gangs", func() (bool, string) {
		bound := 0
		for _, n := range w.history.boundGangs() {
			bound += n
		}
		return bound == gangs*size, fmt.Sprintf("%d of %d pods bound", bound, gangs*size)
	})
}

// The PodGroup counts the members that have succeeded, and those no more that are deleted.
func TestSucceededMembersAreCounted(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 1)
	g := gangOf("short", 3, "1")
	g.floor, g.members[0].runFor = 1, "1s"
	w.create(g)
	succeeded := func(want int64) {
		t.Helper()
		w.await(fmt.Sprintf("%d succeeded members", want), func() (bool, string) {
			pg, err := env.dynamic.Resource(kube.PodGroups).Namespace(w.namespace).Get(w.ctx, "short", metav1.GetOptions{})
			w.must(err)
			n, _, _ := unstructured.NestedInt64(pg.Object, "status", "succeeded")
			return n == want, fmt.Sprint(n)
		})
	}
	succeeded(3)
	w.must(env.client.CoreV1().Pods(w.namespace).Delete(w.ctx, "short-worker-1", metav1.DeleteOptions{}))
	succeeded(2)
}

func TestPodsWithoutAGang(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	pods := w.pods(gangOf("single", 3, "4"))
	for _, pod := range pods {
		delete(pod.Labels, kube.PodGroupLabel)
	}
	w.createPods(pods)
	w.await("three single pods", func() (bool, string) {
		counts := w.history.boundGangs()
		return counts[""] == 3, fmt.Sprint(counts)
	})
}
