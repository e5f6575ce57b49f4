package kube

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
)

const gpu = v1.ResourceName("nvidia.com/gpu")

func newNode(name string, gpus int64) *v1.Node {
	node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	node.Status.Allocatable = v1.ResourceList{gpu: *resource.NewQuantity(gpus, resource.DecimalSI), v1.ResourcePods: resource.MustParse("10")}
	return node
}

// newPod is a member of the gang that its name begins with; change sees it last.
func newPod(group string, index int, gpus int64, change ...func(*v1.Pod)) *v1.Pod {
	name := group + "-" + strconv.Itoa(index)
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name), Labels: map[string]string{PodGroupLabel: group}}}
	pod.Spec.SchedulerName = "lockstep"
	pod.Spec.Containers = []v1.Container{{Name: "main", Resources: v1.ResourceRequirements{
		Requests: v1.ResourceList{gpu: *resource.NewQuantity(gpus, resource.DecimalSI)},
	}}}
	for _, f := range change {
		f(pod)
	}
	return pod
}

func on(node string) func(*v1.Pod)        { return func(p *v1.Pod) { p.Spec.NodeName = node } }
func in(phase v1.PodPhase) func(*v1.Pod)  { return func(p *v1.Pod) { p.Status.Phase = phase } }
func priority(value int32) func(*v1.Pod)  { return func(p *v1.Pod) { p.Spec.Priority = &value } }
func scheduler(name string) func(*v1.Pod) { return func(p *v1.Pod) { p.Spec.SchedulerName = name } }
func leaving(p *v1.Pod)                   { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }
func gated(p *v1.Pod)                     { p.Spec.SchedulingGates = []v1.PodSchedulingGate{{Name: "wait"}} }

func newGroup(name string, floor int32, created int64) *v1alpha1.PodGroup {
	return &v1alpha1.PodGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, CreationTimestamp: metav1.Unix(created, 0)},
		Spec:       v1alpha1.PodGroupSpec{MinMember: floor},
	}
}

func isLockstep(name string) bool { return name == "lockstep" }

func TestOfflineQueue(t *testing.T) {
	done := newGroup("done", 1, 1)
	done.Status.Phase = v1alpha1.PodGroupFinished
	o := NewOffline(Listing{
		Nodes: []*v1.Node{newNode("a", 8)},
		PodGroups: []*v1alpha1.PodGroup{
			newGroup("young", 1, 9), newGroup("old", 1, 5), newGroup("urgent", 1, 9), newGroup("torn", 2, 9), newGroup("runs", 1, 1),
			newGroup("gated", 1, 1), newGroup("few", 2, 1), newGroup("empty", 1, 1), done, newGroup("theirs", 1, 1), newGroup("over", 1, 1),
		},
		Pods: []*v1.Pod{
			newPod("young", 0, 1), newPod("old", 0, 1), newPod("urgent", 0, 1, priority(10)), newPod("torn", 0, 1, on("a")), newPod("torn", 1, 1),
			newPod("runs", 0, 1, on("a")), newPod("gated", 0, 1, gated), newPod("few", 0, 1), newPod("few", 1, 1, leaving),
			newPod("theirs", 0, 1, scheduler("another")), newPod("over", 0, 1, on("a"), in(v1.PodSucceeded)),
		},
	}, nil, isLockstep)
	var got []string
	for _, key := range o.Queue() {
		got = append(got, key.Name)
	}
	want := []string{"torn", "urgent", "old", "young", "few", "empty", "gated", "theirs"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestOfflineTakesOffWhatRuns(t *testing.T) {
	l := Listing{
		Nodes: []*v1.Node{newNode("a", 8)},
		Pods: []*v1.Pod{
			newPod("x", 0, 1, on("a")), newPod("x", 1, 1, on("a"), leaving), newPod("x", 2, 1, on("a"), scheduler("another")),
			newPod("x", 3, 1, on("a"), in(v1.PodFailed)), newPod("x", 4, 1, on("gone")), newPod("x", 5, 1),
		},
	}
	o := NewOffline(l, nil, isLockstep)
	free := o.Nodes()[0].Free
	if got := free.Get(o.Vocabulary().Index(string(gpu))); got != 5 {
		t.Errorf("%d GPUs are free; three pods of one are there", got)
	}
	if got := free.Get(cluster.Pods); got != 7 {
		t.Errorf("room for %d pods is free; there was for 10, and three are there", got)
	}
}

// A gang that could start if others gave a host port back is not told that it never can.
func TestOfflineWhereHostPortsAreTaken(t *testing.T) {
	port := hostPort("", 29500)
	for _, tt := range []struct {
		name  string
		nodes []*v1.Node
		code  core.Code
		says  string
	}{
		{"some are", []*v1.Node{newNode("a", 8), newNode("b", 8), newNode("c", 8)}, "DoesNotFit", "on 2 of 3 nodes a host port is in use that the gang wants"},
		{"all are", []*v1.Node{newNode("a", 8), newNode("b", 8)}, "NoEligibleNodes", "on 2 of 2 nodes a host port is in use that the gang wants"},
		{"none is, where it could run", []*v1.Node{newNode("c", 8)}, "Impossible", ""},
	} {
		o := NewOffline(Listing{
			Nodes:     tt.nodes,
			PodGroups: []*v1alpha1.PodGroup{newGroup("holds", 2, 1), newGroup("wants", 2, 2)},
			Pods: []*v1.Pod{
				newPod("holds", 0, 1, port, on("a")), newPod("holds", 1, 1, port, on("b")), newPod("wants", 0, 1, port), newPod("wants", 1, 1, port),
			},
		}, nil, isLockstep)
		key := gang.Key{Namespace: "ns", Name: "wants"}
		o.Try(key)
		s, _ := o.Standing(key)
		if got := s.Reason; got.Code != tt.code || strings.Contains(got.Message, "host port") != (tt.says != "") || !strings.Contains(got.Message, tt.says) {
			t.Errorf("%s: %v, want %s with %q", tt.name, got, tt.code, tt.says)
		}
	}
}

// A pod that is being made smaller still has what it had.
func TestOccupiedWhileResized(t *testing.T) {
	pod := newPod("x", 0, 2)
	pod.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "main", AllocatedResources: v1.ResourceList{gpu: resource.MustParse("4")},
		Resources: &v1.ResourceRequirements{Requests: v1.ResourceList{gpu: resource.MustParse("4")}}}}
	vocabulary := cluster.NewVocabulary()
	if got := Occupied(pod, vocabulary).Get(vocabulary.Index(string(gpu))); got != 4 {
		t.Errorf("it takes %d, not 4", got)
	}
}

func TestOfflineStandings(t *testing.T) {
	o := NewOffline(Listing{
		Nodes:     []*v1.Node{newNode("a", 4), newNode("b", 4)},
		PodGroups: []*v1alpha1.PodGroup{newGroup("first", 2, 1), newGroup("second", 1, 2), newGroup("third", 2, 3)},
		Pods: []*v1.Pod{
			newPod("first", 0, 4), newPod("first", 1, 2), newPod("second", 0, 2), newPod("third", 0, 1, on("a"), in(v1.PodSucceeded)), newPod("third", 1, 1),
		},
	}, nil, isLockstep)
	stand := func(name string) Standing {
		key := gang.Key{Namespace: "ns", Name: name}
		o.Try(key)
		s, ok := o.Standing(key)
		if !ok {
			t.Fatalf("%s is not known", name)
		}
		return s
	}
	if s := stand("first"); !s.Fits() || s.Places[0].Node == s.Places[1].Node || s.Places[0].Node == "" || s.Used[o.Tree().Hosts()] != 2 {
		t.Errorf("first: %+v", s)
	}
	if s := stand("second"); !s.Fits() || s.Domain != o.Tree().Leaf(1) {
		t.Errorf("second goes where the first left room: %+v", s)
	}
	s := stand("third")
	if s.Fits() || s.Reason.Code != "DoesNotFit" || s.Rejection == nil || s.Status.Counts.Finished != 1 || s.Domain != -1 {
		t.Errorf("third finds nothing left: %+v", s)
	}
	if _, ok := o.Standing(gang.Key{Name: "none"}); ok {
		t.Error("a gang that does not exist stands somewhere")
	}
}

func TestOfflineGangWithoutPodGroup(t *testing.T) {
	o := NewOffline(Listing{Nodes: []*v1.Node{newNode("a", 4)}, Pods: []*v1.Pod{newPod("x", 0, 1)}}, nil, isLockstep)
	key := gang.Key{Namespace: "ns", Name: "x"}
	o.Try(key)
	if s, _ := o.Standing(key); s.Fits() || s.Reason.Code != core.GroupNotFound {
		t.Errorf("it stands as %+v", s)
	}
}

func TestAmountsThatCannotBeCounted(t *testing.T) {
	for _, test := range []struct {
		name v1.ResourceName
		text string
		want int64
	}{
		{v1.ResourceCPU, "1500m", 1500},
		{v1.ResourceCPU, "100E", 1<<63 - 1},
		{v1.ResourceMemory, "1Ki", 1024},
		{v1.ResourceMemory, "100E", 1<<63 - 1},
		{gpu, "-1", -1},
	} {
		if got := Amount(test.name, resource.MustParse(test.text)); got != test.want {
			t.Errorf("%s of %s is %d, want %d", test.text, test.name, got, test.want)
		}
	}
}

// What is reserved for a gang that a cap keeps out still is where nobody is asked who goes.
func TestOfflineKeepsRoomBelowACap(t *testing.T) {
	group := func(name string, created int64, queue string) *v1alpha1.PodGroup {
		pg := newGroup(name, 1, created)
		inQueue(queue)(pg)
		return pg
	}
	waits, later := gang.Key{Namespace: "ns", Name: "waits"}, gang.Key{Namespace: "ns", Name: "later"}
	o := NewOffline(Listing{
		Nodes: []*v1.Node{newNode("a", 4), newNode("b", 4)},
		Queues: []*lockstepv1alpha1.Queue{
			queueOf("capped", "", []string{"ns"}, lockstepv1alpha1.QueueResource{Name: gpu, Cap: quantity("4")}),
			queueOf("open", "", []string{"ns"}),
		},
		PodGroups: []*v1alpha1.PodGroup{group("runs", 1, "capped"), group("waits", 2, "capped"), group("later", 3, "open")},
		Pods:      []*v1.Pod{newPod("runs", 0, 4, on("a")), newPod("waits", 0, 4), newPod("later", 0, 4)},
		Reserved: map[gang.Key]*Reservation{waits: {Kind: core.Preempting, Order: 1, Since: metav1.Unix(5, 0), ExpectedStart: metav1.Unix(35, 0),
			Nodes: []ReservedNode{{Name: "b", Resources: v1.ResourceList{gpu: *quantity("4"), v1.ResourcePods: *quantity("1")}}}}},
	}, nil, isLockstep)
	o.Try(waits)
	o.Try(later)
	if s, _ := o.Standing(waits); s.Reason.Code != core.QuotaExceeded {
		t.Errorf("waits: %+v", s.Reason)
	}
	if s, _ := o.Standing(later); s.Fits() || !strings.Contains(s.Reason.Message, "room that is reserved for ns/waits") {
		t.Errorf("later is told %q", s.Reason.Message)
	}
}
