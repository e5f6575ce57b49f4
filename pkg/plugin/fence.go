package plugin

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/kubernetes"
	fwk "k8s.io/kube-scheduler/framework"

	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
)

// fence keeps a scheduler that begins to lead from deciding by an old picture. As a
// standby it has watched, but watches may be late, and the last binds of the leader
// before it are room that looks free. So its first attempt lists the pods that have a
// node, and the nodes, as they are then; nobody is given a node before the scheduler's
// own picture shows all of that, or the list no longer does.
//
// A list without a resource version is consistent. What is compared is objects, not the
// list's own version: a watch tells that only with its next bookmark, a minute later.
type fence struct {
	client kubernetes.Interface
	passed atomic.Bool

	mu    sync.Mutex
	begun bool
	pods  map[types.UID]string // bound and not shown yet, with their names
	nodes map[types.UID]*v1.Node
}

// bound selects the pods that take room.
const bound = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"

// look lists what the picture has to show: at first everything, later what of it is
// still there.
func (f *fence) look(ctx context.Context) error {
	pods, err := f.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: bound})
	if err != nil {
		return err
	}
	nodes, err := f.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	leftPods, leftNodes, exists := map[types.UID]string{}, map[types.UID]*v1.Node{}, map[string]bool{}
	for i := range nodes.Items {
		exists[nodes.Items[i].Name] = true
		switch node := &nodes.Items[i]; {
		case !f.begun:
			leftNodes[node.UID] = node
		case f.nodes[node.UID] != nil:
			leftNodes[node.UID] = f.nodes[node.UID] // as it was at first; it changes all the time
		}
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if (!f.begun || f.pods[pod.UID] != "") && exists[pod.Spec.NodeName] { // a lost node is in no snapshot
			leftPods[pod.UID] = pod.Namespace + "/" + pod.Name
		}
	}
	f.pods, f.nodes, f.begun = leftPods, leftNodes, true
	return nil
}

// shown crosses out what a snapshot shows. counted says whether the core has a pod
// where it is, too.
func (f *fence) shown(infos []fwk.NodeInfo, counted func(*v1.Pod) bool) {
	for _, info := range infos {
		node := info.Node()
		if want := f.nodes[node.UID]; want != nil {
			if order, err := resourceversion.CompareResourceVersion(node.ResourceVersion, want.ResourceVersion); err != nil || order >= 0 {
				delete(f.nodes, node.UID)
			}
		}
		for _, p := range info.GetPods() {
			if pod := p.GetPod(); f.pods[pod.UID] != "" && counted(pod) {
				delete(f.pods, pod.UID)
			}
		}
	}
}

// closed says what the picture lacks; empty once it has all.
func (f *fence) closed(ctx context.Context, infos []fwk.NodeInfo, counted func(*v1.Pod) bool) (why string) {
	if f.passed.Load() {
		return ""
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.look(ctx); err != nil {
		return fmt.Sprintf("the scheduler has begun to lead and cannot read what is there: %v", err)
	}
	f.shown(infos, counted)
	if len(f.pods)+len(f.nodes) > 0 {
		return fmt.Sprintf("the scheduler has begun to lead and its watches are late: it has yet to see %d pods that have a node, and %d nodes",
			len(f.pods), len(f.nodes))
	}
	f.passed.Store(true)
	return ""
}

// lateAgain is how long a pod waits that was refused because watches are late.
const lateAgain = 500 * time.Millisecond

// behind says why the pod cannot be tried yet, and has it tried again.
func (e *engine) behind(ctx context.Context, pod *v1.Pod, infos []fwk.NodeInfo) string {
	why := e.fence.closed(ctx, infos, e.counted)
	if why == "" {
		return ""
	}
	if _, member := kube.GangOf(pod); member {
		time.AfterFunc(lateAgain, func() { e.activations.put([]string{string(pod.UID)}) })
	} else {
		e.besideMu.Lock()
		e.beside[string(pod.UID)] = pod
		e.besideMu.Unlock()
	}
	return why
}

// counted reports whether the core has a pod of a snapshot where it is: a member that
// it knows of, or somebody it does not count.
func (e *engine) counted(pod *v1.Pod) bool {
	if _, member := kube.GangOf(pod); !member || !e.profiles[pod.Spec.SchedulerName] || pod.DeletionTimestamp != nil {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	state, known := e.core.State(string(pod.UID))
	return known && state == gang.Bound
}
