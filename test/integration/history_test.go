package integration

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"lockstep.dev/lockstep/pkg/kube"
)

// history is what a watch of a namespace's pods has seen: which pods were bound
// where, and when.
type history struct {
	cancel context.CancelFunc

	mu    sync.Mutex
	pods  map[types.UID]*v1.Pod
	binds []bind
}

type bind struct {
	gang, pod, node string
	at              time.Time
}

func watchHistory(ctx context.Context, t *testing.T, namespace string) *history {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	h := &history{cancel: cancel, pods: map[types.UID]*v1.Pod{}}
	factory := informers.NewSharedInformerFactoryWithOptions(env.client, 0, informers.WithNamespace(namespace))
	informer := factory.Core().V1().Pods().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { h.see(o.(*v1.Pod)) },
		UpdateFunc: func(_, o any) { h.see(o.(*v1.Pod)) },
		DeleteFunc: func(o any) {
			if pod, ok := o.(*v1.Pod); ok {
				h.mu.Lock()
				delete(h.pods, pod.UID)
				h.mu.Unlock()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return h
}

func (h *history) stop() { h.cancel() }

func (h *history) see(pod *v1.Pod) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.pods[pod.UID]; pod.Spec.NodeName != "" && (old == nil || old.Spec.NodeName == "") {
		h.binds = append(h.binds, bind{pod.Labels[kube.PodGroupLabel], pod.Name, pod.Spec.NodeName, time.Now()})
	}
	h.pods[pod.UID] = pod
}

// boundGangs counts the binds seen by gang.
func (h *history) boundGangs() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	counts := map[string]int{}
	for _, b := range h.binds {
		counts[b.gang]++
	}
	return counts
}

// torn names the gangs of which not all members were bound.
func (h *history) torn(floor int) []string {
	var out []string
	for gang, n := range h.boundGangs() {
		if gang != "" && n%floor != 0 {
			out = append(out, fmt.Sprintf("%s: %d binds, floor %d", gang, n, floor))
		}
	}
	sort.Strings(out)
	return out
}

// overcommitted says which nodes were given more GPUs than they have, by the pods
// that are there now.
func (h *history) overcommitted(perNode int64) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	used := map[string]int64{}
	for _, pod := range h.pods {
		if pod.Spec.NodeName == "" || kubeEnded(pod) {
			continue
		}
		for _, c := range pod.Spec.Containers {
			q := c.Resources.Limits["nvidia.com/gpu"]
			used[pod.Spec.NodeName] += q.Value()
		}
	}
	var out []string
	for node, n := range used {
		if n > perNode {
			out = append(out, fmt.Sprintf("%s: %d of %d GPUs", node, n, perNode))
		}
	}
	sort.Strings(out)
	return out
}

func kubeEnded(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}
