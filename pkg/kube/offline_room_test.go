package kube

import (
	"slices"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
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
	room, pending := o.Room(time.Unix(62, 0), []Sized{{Key: key}, {Key: gang.Key{Namespace: "ns", Name: "few"}}}, "worker")
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

func inQueue(name string) func(*v1alpha1.PodGroup) {
	return func(pg *v1alpha1.PodGroup) { pg.Labels = map[string]string{QueueLabel: name} }
}

// TestOfflineRoomBelowCaps: a job finds no room above the cap of its queue, and a gang that a
// cap keeps out does not wait for room, unless the job has some to spare.
func TestOfflineRoomBelowCaps(t *testing.T) {
	group := func(name string, floor int32, at int64, queue string) *v1alpha1.PodGroup {
		pg := newGroup(name, floor, at)
		inQueue(queue)(pg)
		return pg
	}
	o := NewOffline(Listing{
		Nodes: []*v1.Node{newNode("a", 8)},
		Queues: []*lockstepv1alpha1.Queue{
			queueOf("small", "", []string{"ns"}, lockstepv1alpha1.QueueResource{Name: "nvidia.com/gpu", Cap: quantity("4")}),
			queueOf("large", "", []string{"ns"}, lockstepv1alpha1.QueueResource{Name: "nvidia.com/gpu", Cap: quantity("6")}),
		},
		PodGroups: []*v1alpha1.PodGroup{
			group("job", 1, 1, "small"), group("beside", 1, 2, "small"), group("more", 2, 3, "small"), group("other", 5, 4, "large"),
		},
		Pods: []*v1.Pod{
			newPod("job", 0, 1, worker, on("a")), newPod("job", 1, 1, worker, on("a")), newPod("job", 2, 1, worker, on("a")),
			newPod("beside", 0, 2),
			newPod("more", 0, 2), newPod("more", 1, 2),
			newPod("other", 0, 1), newPod("other", 1, 1), newPod("other", 2, 1), newPod("other", 3, 1), newPod("other", 4, 1),
		},
	}, nil, isLockstep)
	job := Sized{Key: gang.Key{Namespace: "ns", Name: "job"}}
	names := func(list []autoscale.Pending) (names []string) {
		for _, p := range list {
			names = append(names, p.Name)
		}
		return names
	}
	room, pending := o.Room(time.Unix(62, 0), []Sized{job}, "worker")
	if got := names(pending); !slices.Equal(got, []string{"ns/other"}) {
		t.Errorf("with nothing to spare %v wait for room", got)
	}
	if !room.Grow("ns/job", 1) || room.Grow("ns/job", 1) {
		t.Error("a job of 3 GPUs in a queue that may hold 4 grows by one, and no more")
	}
	if room.Start("ns/other") {
		t.Error("5 GPUs found where 4 are free")
	}
	room.Reset()
	if !room.Start("ns/other") || room.Start("ns/other") {
		t.Error("a queue that may hold 6 holds 5, and no more")
	}
	room.Reset()

	job.Spare = 1
	room, pending = o.Room(time.Unix(62, 0), []Sized{job}, "worker")
	if got := names(pending); !slices.Equal(got, []string{"ns/other", "ns/beside"}) {
		t.Errorf("with one to spare %v wait for room", got)
	}
	if room.Start("ns/beside") {
		t.Error("5 GPUs in a queue that may hold 4")
	}
	if room.Shrink("ns/job", 1); !room.Start("ns/beside") {
		t.Error("no room below the cap although a Worker gave way")
	}
}
