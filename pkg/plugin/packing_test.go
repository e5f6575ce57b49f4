package plugin

import (
	"fmt"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/topology"
)

// occupied is a snapshot of nodes with 4 GPUs of which some are taken, by name.
func occupied(t testing.TB, taken map[string]int, rack func(name string) string) []fwk.NodeInfo {
	t.Helper()
	var nodes []*v1.Node
	for name := range taken {
		nodes = append(nodes, node(name, rack(name), nil))
	}
	infos := snapshot(nodes...)
	for _, info := range infos {
		for i := range taken[info.Node().Name] {
			pod, err := framework.NewPodInfo(gpuPod(fmt.Sprint(info.Node().Name, i), "1"))
			if err != nil {
				t.Fatal(err)
			}
			info.AddPodInfo(pod)
		}
	}
	return infos
}

func packFor(t testing.TB, infos []fwk.NodeInfo, pod *v1.Pod) *packing {
	t.Helper()
	vocabulary := cluster.NewVocabulary()
	m := newMirror(vocabulary, []topology.Level{{Name: "rack", Key: "rack"}})
	m.update(infos)
	requests := kube.Requests(pod, vocabulary)
	return &packing{mirror: m, requests: requests, resource: requests.Primary(), near: -1}
}

// order is the names of the nodes, the best first.
func (p *packing) order() []string {
	var names []string
	for _, n := range p.mirror.nodes {
		names = append(names, n.Name)
	}
	slices.SortStableFunc(names, func(a, b string) int {
		return int(max(-1, min(1, p.score(p.mirror.places[b])-p.score(p.mirror.places[a]))))
	})
	return names
}

func firstLetter(name string) string { return name[:1] }

func TestSinglePodsGoWhereTheLeastIsLeft(t *testing.T) {
	// Rack a has 9 GPUs free, b has 5, c 12.
	infos := occupied(t, map[string]int{"a1": 3, "a2": 0, "a3": 0, "b1": 3, "b2": 0, "c1": 0, "c2": 0, "c3": 0}, firstLetter)
	if got, want := packFor(t, infos, gpuPod("p", "1")).order(), []string{"b1", "a1", "b2", "a2", "a3", "c1", "c2", "c3"}; !slices.Equal(got, want) {
		t.Errorf("a pod of one GPU: %v, want %v", got, want)
	}
}

// TestFragments: the cluster runs pods of 4 GPUs and of 1. A pod of 1 that would leave
// 3 of a whole node spoils it for those of 4, and that weighs more than what is left.
func TestFragments(t *testing.T) {
	infos := occupied(t, map[string]int{"a1": 0, "b1": 2, "b2": 2}, firstLetter)
	for i := range 3 {
		n := snapshot(node(fmt.Sprint("c", i), "c", nil))
		pod, err := framework.NewPodInfo(gpuPod(fmt.Sprint("four", i), "4"))
		if err != nil {
			t.Fatal(err)
		}
		n[0].AddPodInfo(pod)
		infos = append(infos, n...)
	}
	pack := packFor(t, infos, gpuPod("p", "1"))
	pack.mix = pack.mirror.mix()
	if pack.mix == nil || pack.mix.Len() != 2 {
		t.Fatalf("the mix of pods is %+v, want two kinds", pack.mix)
	}
	if a, b := pack.score(pack.mirror.places["a1"]), pack.score(pack.mirror.places["b1"]); a >= b {
		t.Errorf("the whole node scores %d, the broken one %d", a, b)
	}
}

func TestRoamingMembersGoNearTheirPlan(t *testing.T) {
	infos := occupied(t, map[string]int{"a1": 0, "a2": 3, "b1": 3}, firstLetter)
	pack := packFor(t, infos, gpuPod("p", "1"))
	pack.near = pack.mirror.places["a1"]
	if got, want := pack.order(), []string{"a1", "a2", "b1"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v: the node of the plan, then its rack", got, want)
	}
}

func TestScoresOfDifferentPlacesDiffer(t *testing.T) {
	raw := []int64{-9, -1, -5, -1, -30, -7, -8, -20, -40, -50}
	var scores fwk.NodeScoreList
	for i, s := range raw {
		scores = append(scores, fwk.NodeScore{Name: fmt.Sprint(i), Score: s})
	}
	if status := (&Lockstep{}).NormalizeScore(t.Context(), nil, nil, scores); !status.IsSuccess() {
		t.Fatal(status)
	}
	want := []int64{6, 100, 50, 100, 1, 25, 12, 3, 0, 0}
	for i, s := range scores {
		if s.Score != want[i] {
			t.Errorf("raw %d became %d, want %d", raw[i], s.Score, want[i])
		}
	}
}

func TestScoringANodeAllocatesNothing(t *testing.T) {
	infos := occupied(t, map[string]int{"a1": 3, "a2": 0, "b1": 1}, firstLetter)
	pack := packFor(t, infos, gpuPod("p", "1"))
	for _, mixed := range []bool{false, true} {
		if mixed {
			pack.mix = pack.mirror.mix()
		}
		if n := testing.AllocsPerRun(100, func() { pack.score(1) }); n > 0 {
			t.Errorf("%v allocations for a node (with fragments: %t)", n, mixed)
		}
	}
	if n := testing.AllocsPerRun(100, func() { pack.mirror.update(infos) }); n > 0 {
		t.Errorf("%v allocations for a look at nodes that have not changed", n)
	}
}

// TestSignatures: equal pods without a gang may share a result of the framework;
// members of gangs never do.
func TestSignatures(t *testing.T) {
	p := &Lockstep{}
	single := gpuPod("p", "1")
	if _, status := p.SignPod(t.Context(), single); !status.IsSuccess() {
		t.Errorf("a pod without a gang cannot be batched: %s", status.Message())
	}
	single.Labels = map[string]string{kube.PodGroupLabel: "g"}
	if _, status := p.SignPod(t.Context(), single); status.IsSuccess() {
		t.Error("a member may be batched")
	}
}

func TestPodsWithoutGPUsAreNotPacked(t *testing.T) {
	cpu := &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{{Resources: v1.ResourceRequirements{
		Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse("1"), v1.ResourceMemory: resource.MustParse("1Gi")},
	}}}}}
	vocabulary := cluster.NewVocabulary()
	vocabulary.Index("nvidia.com/gpu")
	if got := kube.Requests(cpu, vocabulary).Primary(); got != cluster.CPU {
		t.Errorf("the pod is chiefly about %s", vocabulary.Name(got))
	}
}
