package integration

import (
	"fmt"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// Pods whose PodGroup does not exist have nothing but themselves that could say why they wait.
func TestLabelWithoutPodGroup(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	g := gangOf("orphan", 2, "8")
	w.createPods(w.pods(g))
	for _, name := range []string{"orphan-worker-0", "orphan-worker-1"} {
		w.awaitPodReason(name, "PodGroupNotFound", "PodGroup podgroups.scheduling.x-k8s.io "+w.namespace+"/orphan does not exist")
		w.awaitEventOn(name, "PodGroupNotFound")
	}
	three := g
	three.floor = 3
	w.createGroup(three)
	w.awaitPodReason("orphan-worker-0", "WaitingForMembers", "2 of 3 members exist")
	w.patchGroup("orphan", `{"spec":{"minMember":2}}`)
	w.awaitPlaced("orphan", 2)
}

// A gang that has its place is joined by a pod that may not be tried: the class has another value by now.
func TestJoinedByAnotherPriority(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	high := w.priority(7)
	w.create(gangOf("grows", 1, "8").withPriority(high))
	w.awaitPlaced("grows", 1)
	low := gangOf("grows", 2, "8").withPriority(w.priority(3))
	w.createPods(w.pods(low)[1:])
	why := "members differ in priority: grows-worker-0 has 7, grows-worker-1 has 3; give all of them one priorityClassName"
	w.awaitPodReason("grows-worker-1", "MixedPriority", why)
	w.awaitEventOn("grows-worker-1", "MixedPriority")
	w.awaitMessage("grows", "Placed", "1 member has a node; 1 is needed; 1 more may not be tried: "+why)
}

// Pods that wait for their gang, for its PodGroup or for room are let go alone: their label is taken away.
func TestLabelTakenAway(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	few := gangOf("few", 1, "1")
	few.floor = 2
	w.create(few)
	w.createPods(w.pods(gangOf("orphan", 1, "1")))
	w.create(gangOf("huge", 3, "8"))
	w.awaitReason("few", "WaitingForMembers")
	w.awaitReason("huge", "Impossible")
	w.awaitEventOn("orphan-worker-0", "PodGroupNotFound")
	for _, name := range []string{"few-worker-0", "orphan-worker-0", "huge-worker-0"} {
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:null}}}`, kube.PodGroupLabel)
		_, err := env.client.CoreV1().Pods(w.namespace).Patch(w.ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		w.must(err)
		w.await(name+" alone", func() (bool, string) {
			pod, err := env.client.CoreV1().Pods(w.namespace).Get(w.ctx, name, metav1.GetOptions{})
			w.must(err)
			return pod.Spec.NodeName != "", fmt.Sprint(pod.Status.Conditions)
		})
	}
}

// awaitPodReason waits until a pod's own condition says why it waits.
func (w *world) awaitPodReason(name, reason, message string) {
	w.t.Helper()
	w.await("the condition of "+name, func() (bool, string) {
		pod, err := env.client.CoreV1().Pods(w.namespace).Get(w.ctx, name, metav1.GetOptions{})
		w.must(err)
		for _, c := range pod.Status.Conditions {
			if c.Type == v1.PodScheduled {
				return c.Status == v1.ConditionFalse && c.Reason == reason && c.Message == message, c.Reason + ": " + c.Message
			}
		}
		return false, "no condition"
	})
}

func (w *world) awaitEventOn(pod, reason string) {
	w.t.Helper()
	w.await("an event on "+pod, func() (bool, string) {
		list, err := env.client.CoreV1().Events(w.namespace).List(w.ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=Pod,involvedObject.name=" + pod})
		w.must(err)
		said := ""
		for _, e := range list.Items {
			said += e.Reason + " "
			if e.Reason == reason {
				return true, said
			}
		}
		return false, said
	})
}
