package integration

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// TestSinglePodsLeaveRacksWhole: 20 pods of one GPU take the fewest nodes, three, in
// one rack, and a gang that needs all of a rack still finds one.
func TestSinglePodsLeaveRacksWhole(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{RackSize: 8}, 24) // wherever the racks begin, two are whole
	w.withScheduler(devcluster.ProgramOptions{})       // it knows all nodes from its start
	pods := w.pods(gangOf("single", 20, "1"))
	for _, pod := range pods {
		delete(pod.Labels, kube.PodGroupLabel)
		pod.Labels["single"] = "yes"
	}
	w.createPods(pods)
	nodes := map[string]string{}
	w.await("the single pods", func() (bool, string) {
		list, err := env.client.CoreV1().Pods(w.namespace).List(w.ctx, metav1.ListOptions{LabelSelector: "single=yes"})
		w.must(err)
		for _, pod := range list.Items {
			if pod.Spec.NodeName != "" {
				nodes[pod.Name] = pod.Spec.NodeName
			}
		}
		return len(nodes) == len(pods), "not all have a node"
	})
	// The smallest racks go first: those at the ends, of which the test has a part only.
	if hosts, racks := w.perDomain(nodes, v1.LabelHostname), w.perDomain(nodes, rackLabel); len(hosts) != 3 || len(racks) > 2 {
		t.Errorf("by node %v, by rack %v; want three nodes of one rack, or of the two at the ends", hosts, racks)
	}
	gang := gangOf("whole", 64, "1")
	gang.annotations = map[string]string{kube.RequiredTopology: "rack"}
	w.create(gang)
	w.sameRack(w.awaitPlaced("whole", 64))
}
