package plugin

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/topology"
)

func node(name, rack string, change func(*v1.Node)) *v1.Node {
	n := &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"rack": rack}},
		Status: v1.NodeStatus{Allocatable: v1.ResourceList{
			v1.ResourceCPU: resource.MustParse("8"), v1.ResourcePods: resource.MustParse("10"), "nvidia.com/gpu": resource.MustParse("4"),
		}},
	}
	if change != nil {
		change(n)
	}
	return n
}

func gpuPod(name string, gpus string) *v1.Pod {
	return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u-1"}, Spec: v1.PodSpec{Containers: []v1.Container{{
		Resources: v1.ResourceRequirements{Requests: v1.ResourceList{"nvidia.com/gpu": resource.MustParse(gpus)}},
	}}}}
}

// snapshot makes NodeInfos as the scheduler's cache would.
func snapshot(nodes ...*v1.Node) []fwk.NodeInfo {
	infos := make([]fwk.NodeInfo, len(nodes))
	for i, n := range nodes {
		info := framework.NewNodeInfo()
		info.SetNode(n)
		infos[i] = info
	}
	return infos
}

func TestMirrorFollowsTheSnapshot(t *testing.T) {
	vocabulary := cluster.NewVocabulary()
	m := newMirror(vocabulary, []topology.Level{{Name: "rack", Key: "rack"}})
	infos := snapshot(node("b", "r1", nil), node("a", "r0", nil))
	m.update(infos)
	gpu := vocabulary.Index("nvidia.com/gpu")
	if len(m.nodes) != 2 || m.nodes[0].Name != "a" || m.nodes[1].Free.Get(gpu) != 4 || m.nodes[1].Free.Get(cluster.Pods) != 10 {
		t.Fatalf("nodes %+v", m.nodes)
	}

	epoch := m.epoch
	taken := gpuPod("p", "3")
	info, err := framework.NewPodInfo(taken)
	if err != nil {
		t.Fatal(err)
	}
	infos[0].AddPodInfo(info)
	m.update(infos)
	if m.nodes[1].Free.Get(gpu) != 1 || m.nodes[1].Free.Get(cluster.Pods) != 9 {
		t.Errorf("after a pod of 3 GPUs came: free %v", m.nodes[1].Free)
	}
	if m.epoch != epoch {
		t.Error("less room makes no gang fit, but moved the epoch")
	}

	if err := infos[0].(*framework.NodeInfo).RemovePod(logger(t), taken); err != nil {
		t.Fatal(err)
	}
	m.update(infos)
	if m.nodes[1].Free.Get(gpu) != 4 {
		t.Errorf("after the pod went: free %v", m.nodes[1].Free)
	}
	if m.epoch == epoch {
		t.Error("room came back and the epoch did not move")
	}

	// A node comes, between the two.
	epoch = m.epoch
	infos = append(infos, snapshot(node("aa", "r0", nil))...)
	m.update(infos)
	if len(m.nodes) != 3 || m.nodes[1].Name != "aa" || m.epoch == epoch {
		t.Errorf("after a node came: %d nodes, epoch moved %t", len(m.nodes), m.epoch != epoch)
	}

	// A node moves to another rack.
	infos[2].SetNode(node("aa", "r1", nil))
	m.update(infos)
	if rack := m.tree.Domains[m.tree.Ancestor(m.tree.Leaf(1), 1)].Path; rack != "r1" {
		t.Errorf("the node that moved to r1 is in %q", rack)
	}
}

func TestMirrorAsksAgainWhoMayRunWhereWhenNodesChange(t *testing.T) {
	m := newMirror(cluster.NewVocabulary(), nil)
	infos := snapshot(node("a", "", nil))
	p := gpuPod("p", "1")
	class := kube.Class(p)
	asked := 0
	podOf := func(string) *v1.Pod { asked++; return p }
	m.update(infos)
	for range 2 {
		if !m.view(podOf).Eligible(class, 0) {
			t.Error("a node without taints does not admit the pod")
		}
	}
	if asked != 1 {
		t.Errorf("asked for the pod %d times, want once and remembered", asked)
	}
	infos[0].SetNode(node("a", "", func(n *v1.Node) { n.Spec.Taints = []v1.Taint{{Key: "k", Effect: v1.TaintEffectNoSchedule}} }))
	m.update(infos)
	if m.view(podOf).Eligible(class, 0) {
		t.Error("a taint came and the pod is still admitted")
	}
}

// What was rejected while a node was cordoned is planned anew, also if somebody has
// taken a part of it in the same moment.
func TestMirrorReopensNodes(t *testing.T) {
	vocabulary := cluster.NewVocabulary()
	m := newMirror(vocabulary, nil)
	p := gpuPod("p", "1")
	fits := func(infos []fwk.NodeInfo) bool {
		m.update(infos)
		view := m.view(func(string) *v1.Pod { return p })
		class := kube.Class(p)
		_, rejection := view.Index.Solve(placement.Request{Classes: []placement.Class{{
			Requests: kube.Requests(p, vocabulary), Count: 1, Key: class, Eligible: func(node int) bool { return view.Eligible(class, node) },
		}}})
		return rejection == nil
	}
	infos := snapshot(node("a", "", func(n *v1.Node) { n.Spec.Unschedulable = true }))
	if fits(infos) {
		t.Fatal("the pod fits on a cordoned node")
	}
	info, err := framework.NewPodInfo(gpuPod("other", "3"))
	if err != nil {
		t.Fatal(err)
	}
	infos[0].SetNode(node("a", "", nil))
	infos[0].AddPodInfo(info)
	if !fits(infos) {
		t.Error("the node has been uncordoned, and the pod does not fit")
	}
}

func TestMirrorFindsTheLevelsOfALabelledCluster(t *testing.T) {
	m := newMirror(cluster.NewVocabulary(), nil)
	labelled := func(name, block, sub string) *v1.Node {
		return node(name, "", func(n *v1.Node) {
			n.Labels = map[string]string{"cloud.google.com/gce-topology-block": block, "cloud.google.com/gce-topology-subblock": sub}
		})
	}
	m.update(snapshot(labelled("a", "b0", "s0"), labelled("b", "b0", "s1")))
	for _, key := range []string{"cloud.google.com/gce-topology-block", "cloud.google.com/gce-topology-subblock"} {
		if _, ok := m.tree.LevelOf(key); !ok {
			t.Errorf("the level of label %s was not found; the levels are %s", key, m.tree.LevelNames())
		}
	}
}

func TestMirrorDropsLevelsThatNoNodeIsLabelledBy(t *testing.T) {
	m := newMirror(cluster.NewVocabulary(), []topology.Level{{Name: "zone", Key: "zone"}, {Name: "rack", Key: "rack"}})
	m.update(snapshot(node("a", "r0", nil), node("b", "r0", nil)))
	rack, ok := m.tree.LevelOf("rack")
	if !ok || m.tree.Ancestor(m.tree.Leaf(0), rack) != m.tree.Ancestor(m.tree.Leaf(1), rack) {
		t.Errorf("two nodes of one rack are apart because neither has a zone; the levels are %s", m.tree.LevelNames())
	}
}
