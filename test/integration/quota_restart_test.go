package integration

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// A scheduler that starts knows from its first order on what queues hold: the younger gang
// of a queue that holds nothing comes before the older one of a queue that does.
func TestFirstOrderAfterRestart(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 1) // 8 GPUs
	heavy, light := w.queue("heavy", "", ""), w.queue("light", "", "")
	in := func(g gangSpec, queue string) gangSpec {
		g.labels = map[string]string{kube.QueueLabel: queue}
		return g
	}
	w.create(in(gangOf("runs", 1, "4"), heavy))
	w.awaitReason("runs", "Placed")
	env.cluster.Scheduler().Kill()
	w.create(in(gangOf("a-older", 1, "4"), heavy))
	w.create(in(gangOf("b-younger", 1, "4"), light))
	w.withScheduler(devcluster.ProgramOptions{})
	w.awaitReason("b-younger", "Placed")
	w.awaitReason("a-older", "DoesNotFit")
}

// What is wrong with a queue is told by an event once, and not again by the next scheduler.
func TestFaultyQueueIsToldOnce(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 0)
	old, other, last := w.queue("old", "8", ""), w.queue("other", "8", ""), w.queue("last", "8", "")
	told := func(name, parent string) int {
		list, err := env.client.EventsV1().Events(metav1.NamespaceDefault).List(w.ctx, metav1.ListOptions{})
		w.must(err)
		n := 0
		for i := range list.Items {
			if e := &list.Items[i]; e.Reason == "QueueFaulty" && e.Regarding.Name == name && strings.Contains(e.Note, parent) {
				if n++; e.Series != nil {
					n += int(e.Series.Count) - 1
				}
			}
		}
		return n
	}
	// spoil gives a queue a parent that does not exist, and waits until that was told.
	spoil := func(name, parent string) {
		t.Helper()
		_, err := env.dynamic.Resource(lockstepv1alpha1.Queues).Patch(w.ctx, name, types.MergePatchType, fmt.Appendf(nil, `{"spec":{"parent":%q}}`, parent), metav1.PatchOptions{})
		w.must(err)
		w.await("an event on "+name, func() (bool, string) {
			n := told(name, parent)
			return n == 1, fmt.Sprint(n)
		})
	}
	spoil(old, "nowhere")
	spoil(other, "nowhere") // what was written of the first has been seen since
	w.withScheduler(devcluster.ProgramOptions{})
	spoil(other, "elsewhere")
	spoil(last, "nowhere") // all queues were looked at before that
	if n := told(old, "nowhere"); n != 1 {
		t.Errorf("a fault that stands is told %d times", n)
	}
}
