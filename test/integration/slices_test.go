package integration

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// TestSlicesOfAGang: 24 GPUs to a rack hold three pods of 8 and one slice of two; a
// pod that comes again goes back to the rack of its slice.
func TestSlicesOfAGang(t *testing.T) {
	const rack = "topology.lockstep.dev/rack"
	w := newWorld(t, fakenodes.Shape{RackSize: 3}, 6)
	g := gangOf("sliced", 4, "8")
	g.annotations = map[string]string{kube.PreferredTopology: "rack", kube.SliceTopology: "rack", kube.SliceSize: "2"}
	w.create(g)
	nodes := w.awaitPlaced("sliced", 4)
	for _, pair := range [][2]string{{"sliced-worker-0", "sliced-worker-1"}, {"sliced-worker-2", "sliced-worker-3"}} {
		if a, b := w.label(nodes[pair[0]], rack), w.label(nodes[pair[1]], rack); a != b {
			t.Errorf("the slice of %s and %s lies in racks %s and %s", pair[0], pair[1], a, b)
		}
	}
	now := int64(0)
	w.must(env.client.CoreV1().Pods(w.namespace).Delete(w.ctx, "sliced-worker-3", metav1.DeleteOptions{GracePeriodSeconds: &now}))
	w.createPods(w.pods(g)[3:])
	nodes = w.awaitPlaced("sliced", 4)
	if a, b := w.label(nodes["sliced-worker-2"], rack), w.label(nodes["sliced-worker-3"], rack); a != b {
		t.Errorf("worker-3 came back to rack %s; its slice is in %s", b, a)
	}

	odd := gangOf("odd", 3, "1")
	odd.annotations = map[string]string{kube.SliceTopology: "rack", kube.SliceSize: "2"}
	w.create(odd)
	w.awaitReason("odd", "SlicesUneven")
	zero := gangOf("zero", 2, "1")
	zero.annotations = map[string]string{kube.SliceTopology: "rack", kube.SliceSize: "0"}
	w.create(zero)
	w.awaitReason("zero", "PodGroupInvalid")
}
