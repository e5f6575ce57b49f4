package integration

import (
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

const rackLabel = "topology.lockstep.dev/rack"

// sibling selects the pods of a gang.
func sibling(gang string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{kube.PodGroupLabel: gang}}
}

func apartBy(gang, key string) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{{TopologyKey: key, LabelSelector: sibling(gang)}},
		}}
	}
}

// perDomain counts a gang's pods by the value of a node label.
func (w *world) perDomain(nodes map[string]string, key string) map[string]int {
	counts := map[string]int{}
	for _, node := range nodes {
		counts[w.label(node, key)]++
	}
	return counts
}

// each checks that every domain has as many pods as it should.
func (w *world) each(nodes map[string]string, key string, domains, pods int) {
	w.t.Helper()
	counts := w.perDomain(nodes, key)
	for _, n := range counts {
		if n != pods || len(counts) != domains {
			w.t.Errorf("pods by %s: %v; want %d in each of %d", key, counts, pods, domains)
			return
		}
	}
}

func changed(g gangSpec, change func(*v1.Pod)) gangSpec {
	for i := range g.members {
		g.members[i].change = change
	}
	return g
}

// TestOnePodToANode: 40 nodes would do for five gangs of that kind if pods could share
// nodes; every plan puts one on each, at once.
func TestOnePodToANode(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{RackSize: 10}, 40)
	w.create(changed(gangOf("apart", 36, "1"), apartBy("apart", v1.LabelHostname)))
	w.each(w.awaitPlaced("apart", 36), v1.LabelHostname, 36, 1)
	// A rack of ten has no room for eleven of them, and for ten it has.
	g := changed(gangOf("wide", 11, "1"), apartBy("wide", v1.LabelHostname))
	g.annotations = map[string]string{kube.RequiredTopology: "rack"}
	w.create(g)
	w.awaitReason("wide", "Impossible")
	g = changed(gangOf("narrow", 10, "1"), apartBy("narrow", v1.LabelHostname))
	g.annotations = map[string]string{kube.RequiredTopology: "rack"}
	w.create(g)
	nodes := w.awaitPlaced("narrow", 10)
	w.sameRack(nodes)
	w.each(nodes, v1.LabelHostname, 10, 1)
}

// TestHostPorts: one pod of a port to a node, also where a pod without a gang has it.
func TestHostPorts(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 5)
	port := func(p *v1.Pod) {
		p.Spec.Containers[0].Ports = []v1.ContainerPort{{ContainerPort: 29500, HostPort: 29500}}
	}
	single := w.pods(changed(gangOf("single", 1, "1"), port))
	delete(single[0].Labels, kube.PodGroupLabel)
	single[0].Labels["alone"] = "yes"
	w.createPods(single)
	w.create(changed(gangOf("ports", 4, "1"), port))
	w.each(w.awaitPlaced("ports", 4), v1.LabelHostname, 4, 1)
	w.create(changed(gangOf("late", 2, "1"), port))
	w.awaitSays("late", "NoEligibleNodes", "on 5 of 5 nodes a host port is in use that the gang wants")
	w.deleteGang("ports")
	w.awaitPlaced("late", 2)
}

// TestOnePodToARack: only the scheduler's own filters know the rule; a plan by
// resources alone would put all on one node.
func TestOnePodToARack(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{RackSize: 2}, 8)
	racks := w.racks()
	w.create(changed(gangOf("apart", racks, "1"), apartBy("apart", rackLabel)))
	w.each(w.awaitPlaced("apart", racks), rackLabel, racks, 1)
	w.create(changed(gangOf("more", racks+1, "1"), apartBy("more", rackLabel)))
	w.await("the reason of more, which says what was refused and when it is tried again", func() (bool, string) {
		reason, message := w.condition("more")
		says := func(part string) bool { return strings.Contains(message, part) }
		return reason == "NodeRefused" && says("anti-affinity") && says("spec.affinity.podAntiAffinity") && says("tried again within"), message
	})
	if n := w.history.boundGangs()["more"]; n > 0 {
		t.Errorf("%d members of the gang that cannot be are bound", n)
	}
}

// racks is the number of racks that the world's nodes stand in.
func (w *world) racks() int {
	nodes := map[string]string{}
	for _, node := range w.nodes {
		nodes[node] = node
	}
	return len(w.perDomain(nodes, rackLabel))
}

// TestSpreadOverRacks: maxSkew 1, so no rack has two pods more than another.
func TestSpreadOverRacks(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{RackSize: 2}, 8)
	w.withScheduler(devcluster.ProgramOptions{}) // it knows all racks from its start
	w.create(changed(gangOf("spread", 8, "1"), func(p *v1.Pod) {
		p.Spec.TopologySpreadConstraints = []v1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: rackLabel, WhenUnsatisfiable: v1.DoNotSchedule, LabelSelector: sibling("spread"),
		}}
	}))
	counts := w.perDomain(w.awaitPlaced("spread", 8), rackLabel)
	for _, n := range counts {
		if least := 8 / w.racks(); len(counts) != w.racks() || n < least || n > least+1 {
			t.Errorf("pods by rack: %v, in %d racks", counts, w.racks())
			break
		}
	}
}

// TestAffinityToPodsOfAnother: the gang follows a pod that runs, and needs one node
// of its rack for each member.
func TestAffinityToPodsOfAnother(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{RackSize: 2}, 6)
	data := w.pods(gangOf("data", 1, "8"))
	delete(data[0].Labels, kube.PodGroupLabel)
	data[0].Labels["app"] = "cache"
	data[0].Spec.NodeSelector[rackLabel] = w.label(w.nodes[2], rackLabel) // racks at the ends may have one node only
	w.createPods(data)
	var at string
	w.await("the pod that the gang follows", func() (bool, string) {
		pod, err := env.client.CoreV1().Pods(w.namespace).Get(w.ctx, data[0].Name, metav1.GetOptions{})
		w.must(err)
		at = pod.Spec.NodeName
		return at != "", "it has no node"
	})
	w.create(changed(gangOf("follows", 2, "4"), func(p *v1.Pod) {
		p.Spec.Affinity = &v1.Affinity{PodAffinity: &v1.PodAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{{
				TopologyKey: rackLabel, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "cache"}},
			}},
		}}
	}))
	for pod, node := range w.awaitPlaced("follows", 2) {
		if got, want := w.label(node, rackLabel), w.label(at, rackLabel); got != want {
			t.Errorf("%s is in rack %s, the pod that it follows in %s", pod, got, want)
		}
	}
}

// TestPodThatObjects: a pod without a gang does not want a gang's pods on its node,
// which nothing in these says.
func TestPodThatObjects(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 3)
	hermit := w.pods(gangOf("hermit", 1, "1"))
	delete(hermit[0].Labels, kube.PodGroupLabel)
	apartBy("many", v1.LabelHostname)(hermit[0])
	w.createPods(hermit)
	w.await("the hermit", func() (bool, string) {
		pod, err := env.client.CoreV1().Pods(w.namespace).Get(w.ctx, hermit[0].Name, metav1.GetOptions{})
		w.must(err)
		return pod.Spec.NodeName != "", "it has no node"
	})
	w.create(gangOf("many", 4, "4"))
	w.each(w.awaitPlaced("many", 4), v1.LabelHostname, 2, 2)
}
