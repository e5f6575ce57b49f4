package kube

import (
	"slices"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"lockstep.dev/lockstep/pkg/autoscale"
	"lockstep.dev/lockstep/pkg/gang"
)

func worker(p *v1.Pod) { p.Labels["training.kubeflow.org/replica-type"] = "worker" }

func important(p *v1.Pod) { p.Spec.Priority = new(int32(7)) }

// TestOfflineRoom: who waits for room, and what jobs and gangs find when sizes change.
func TestOfflineRoom(t *testing.T) {
	o := NewOffline(Listing{
		Nodes: []*v1.Node{newNode("a", 4), newNode("b", 4)},
		PodGroups: []*v1alpha1.PodGroup{
			newGroup("job", 1, 1), newGroup("waits", 2, 2), newGroup("huge", 3, 3), newGroup("few", 2, 4), newGroup("surplus", 1, 5),
		},
		Pods: []*v1.Pod{
			newPod("job", 0, 2, worker, on("a")), newPod("job", 1, 2, worker, on("a")), newPod("job", 2, 2, worker, on("b")),
			newPod("waits", 0, 2, important), newPod("waits", 1, 2, important), // 2 GPUs are free
			newPod("huge", 0, 4), newPod("huge", 1, 4), newPod("huge", 2, 4), // more than there are
			newPod("few", 0, 1),
			newPod("surplus", 0, 0, on("a")), newPod("surplus", 1, 3),
		},
	}, nil, isLockstep)
	key := gang.Key{Namespace: "ns", Name: "job"}
	room, pending := o.Room(time.Unix(62, 0), []gang.Key{key, {Namespace: "ns", Name: "few"}}, "worker")
	if want := []autoscale.Pending{{Name: "ns/waits", GPUs: 4, Waited: time.Minute, Priority: 7}}; !slices.Equal(pending, want) {
		t.Errorf("pending %v, want %v", pending, want)
	}
	if room.Start("ns/waits") {
		t.Error("4 GPUs found where 2 are free")
	}
	if !room.Grow("ns/job", 1) || room.Grow("ns/job", 1) {
		t.Error("there is room for one more Worker, and no more")
	}
	room.Reset()
	if room.Shrink("ns/job", 1); !room.Start("ns/waits") {
		t.Error("no room although a Worker gave way")
	}
	room.Reset()
	if room.Start("ns/waits") {
		t.Error("what was tried was not taken back")
	}
	if room.Grow("ns/few", 1) {
		t.Error("a job without Workers grows")
	}
}
