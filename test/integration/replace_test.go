package integration

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// A pod of a gang that runs fails, and its room is not anybody's before another has come in
// its place, also where the scheduler is restarted meanwhile. With the gang the claim goes.
func TestRoomOfAMemberIsKept(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	run := gangOf("run", 2, "8")
	w.create(run)
	w.awaitPlaced("run", 2)
	w.create(gangOf("other", 1, "8"))
	w.awaitReason("other", "DoesNotFit")

	w.fail("run-worker-1")
	w.awaitReservation("run", "Replacing")
	w.awaitSays("other", "DoesNotFit", "reserved for "+w.namespace+"/run")
	if _, out, _ := w.lockstep("explain", "run", "-n", w.namespace); !strings.Contains(out, "the room of members that are gone is kept on ") {
		t.Errorf("explain does not say that room is kept:\n%s", out)
	}
	env.cluster.Scheduler().Kill()
	if _, err := env.cluster.StartScheduler(w.ctx, devcluster.ProgramOptions{}); err != nil {
		t.Fatal(err)
	}
	w.create(gangOf("third", 1, "8"))
	w.awaitSays("third", "DoesNotFit", "reserved for "+w.namespace+"/run")

	// At first the others have been tried a moment before, later they are at once.
	for range 5 {
		w.kill("run-worker-1")
		w.createPods(w.pods(run)[1:])
		w.awaitPlaced("run", 2)
		w.awaitReservation("run", "")
		w.awaitReason("run", "Placed")
		if got := w.placed("other"); len(got) > 0 {
			t.Fatalf("other took room that was kept: %v", got)
		}
		w.fail("run-worker-1")
		w.awaitReservation("run", "Replacing")
	}

	w.kill("run-worker-0")
	w.awaitPlaced("other", 1)
	w.awaitPlaced("third", 1)
}

// fail ends a pod as one whose container was killed.
func (w *world) fail(pod string) {
	w.t.Helper()
	_, err := env.client.CoreV1().Pods(w.namespace).Patch(w.ctx, pod, types.MergePatchType,
		[]byte(`{"status": {"phase": "Failed"}}`), metav1.PatchOptions{}, "status")
	w.must(err)
}

// kill deletes a pod at once.
func (w *world) kill(pod string) {
	w.t.Helper()
	now := int64(0)
	w.must(env.client.CoreV1().Pods(w.namespace).Delete(w.ctx, pod, metav1.DeleteOptions{GracePeriodSeconds: &now}))
}
