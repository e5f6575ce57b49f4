package integration

import (
	"bytes"
	"os"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// Of two schedulers with leader election one acts. When it dies without a word the
// other takes over once the lease has run out, with what it has watched until then.
func TestStandbyTakesOver(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 4)
	elected := devcluster.ProgramOptions{LeaderElection: true}
	w.withScheduler(elected)
	leader := env.cluster.Scheduler()
	w.create(gangOf("first", 4, "8"))
	w.awaitPlaced("first", 4)
	w.awaitReason("first", "Placed")

	standby, err := env.cluster.StartScheduler(w.ctx, elected)
	w.must(err)
	w.create(gangOf("second", 2, "8"))
	w.awaitReason("second", "DoesNotFit")
	leads := func() int {
		log, err := os.ReadFile(standby.LogPath())
		w.must(err)
		return bytes.Count(log, []byte("Lockstep leads"))
	}
	before := leads() // both write to one log
	leader.Kill()
	w.deleteGang("first")
	w.awaitPlaced("second", 2)
	w.awaitReason("second", "Placed")
	if after := leads(); after != before+1 {
		t.Errorf("%d schedulers have acted before the leader died and %d after; the standby alone should have joined", before, after)
	}
}

// A standby whose watch of pods is late takes over: it gives nobody a node before it has
// seen who got one from the leader before it.
func TestStandbyWithLateWatch(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 3)
	w.withScheduler(devcluster.ProgramOptions{LeaderElection: true})
	leader := env.cluster.Scheduler()
	w.create(gangOf("zeroth", 1, "8"))
	w.awaitPlaced("zeroth", 1) // it leads
	second := gangOf("second", 2, "8")
	w.createPods(w.pods(second)) // without a pod group, so the leader leaves them alone

	p := newProxy(t)
	_, err := env.cluster.StartScheduler(w.ctx, devcluster.ProgramOptions{LeaderElection: true, Kubeconfig: p.kubeconfig})
	w.must(err)
	release := p.holdPods()
	defer release()
	w.create(gangOf("first", 2, "8"))
	w.awaitPlaced("first", 2)
	leader.Kill()
	w.createGroup(second)
	w.await("a pod that waits for late watches", func() (bool, string) {
		list, err := env.client.CoreV1().Pods(w.namespace).List(w.ctx, metav1.ListOptions{LabelSelector: kube.PodGroupLabel + "=second"})
		w.must(err)
		said := ""
		for i := range list.Items {
			for _, c := range list.Items[i].Status.Conditions {
				said += c.Message + "; "
			}
		}
		return strings.Contains(said, "its watches are late: it has yet to see 2 pods") || len(w.placed("second")) > 0, said
	})
	if placed := w.placed("second"); len(placed) > 0 {
		t.Fatalf("the new leader has put pods on nodes that are full: %v", placed)
	}
	release()
	w.awaitReason("second", "DoesNotFit")
	w.deleteGang("first")
	w.awaitPlaced("second", 2)
}
