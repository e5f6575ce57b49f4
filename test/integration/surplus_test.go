package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// elasticSurplus wants a namespace.
const elasticSurplus = `apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {name: low, namespace: %[1]s}
spec:
  elasticPolicy: {minReplicas: 2, maxReplicas: 4, maxRestarts: 10}
  pytorchReplicaSpecs:
    Worker:
      replicas: 4
      template:
        spec:
          nodeSelector: {integration.lockstep.dev/pool: %[1]s}
          containers: [{name: pytorch, image: "example.test/train:1", resources: {limits: {nvidia.com/gpu: 2}}}]
`

var jobs = schema.GroupVersionResource{Group: "kubeflow.org", Version: "v1", Resource: "pytorchjobs"}

// TestSurplusGivesWayFirst: gangs of higher priority take an elastic job's Workers from the
// highest index down, with notice, and then all that is left at once: never a part of the
// floor (E25 of the contract).
func TestSurplusGivesWayFirst(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 1) // 8 GPUs
	controller, err := env.cluster.StartController(w.ctx, devcluster.ProgramOptions{})
	w.must(err)
	t.Cleanup(controller.Kill)
	class := w.priority(1000)

	notices := w.watchNotices()
	manifest := filepath.Join(t.TempDir(), "job.yaml")
	w.must(os.WriteFile(manifest, fmt.Appendf(nil, elasticSurplus, w.namespace), 0o600))
	w.expect(0, "created", "submit", "-f", manifest)
	first := w.awaitPlaced("low", 4)
	for i, left := range []int{3, 2} {
		name := fmt.Sprintf("high-%d", i)
		w.create(gangSpec{name: name, floor: 1, members: []memberSpec{{role: "worker", count: 1, gpus: "2", priority: class}}})
		w.awaitPlaced(name, 1)
		nodes := w.awaitPlaced("low", left)
		for index := range left {
			if pod := fmt.Sprintf("low-worker-%d", index); nodes[pod] == "" {
				t.Errorf("%s is gone: %v", pod, nodes)
			}
		}
		w.await(fmt.Sprintf("a size of %d, and why", left), func() (bool, string) {
			job, err := env.dynamic.Resource(jobs).Namespace(w.namespace).Get(w.ctx, "low", metav1.GetOptions{})
			w.must(err)
			granted, _, _ := unstructured.NestedMap(job.Object, "status", "progress", "granted")
			reason, _ := granted["reason"].(string)
			return granted["workers"] == int64(left) && strings.Contains(reason, w.namespace+"/"+name), fmt.Sprint(granted)
		})
	}
	w.create(gangSpec{name: "high-2", floor: 1, members: []memberSpec{{role: "worker", count: 1, gpus: "2", priority: class}}})
	w.awaitPlaced("high-2", 1)
	w.await("nothing left of the job", func() (bool, string) {
		nodes := w.placed("low")
		return len(nodes) == 0, fmt.Sprint(nodes)
	})
	for pod := range first {
		w.await("a notice of 60 s for "+pod, func() (bool, string) {
			seconds := notices(pod)
			return seconds >= 60, fmt.Sprintf("%d s", seconds)
		})
	}
}

// watchNotices follows the namespace's pods; the returned function says what notice one has had.
func (w *world) watchNotices() func(pod string) int64 {
	w.t.Helper()
	watch, err := env.client.CoreV1().Pods(w.namespace).Watch(w.ctx, metav1.ListOptions{})
	w.must(err)
	w.t.Cleanup(watch.Stop)
	var mu sync.Mutex
	seen := map[string]int64{}
	go func() {
		for event := range watch.ResultChan() {
			if pod, isPod := event.Object.(*v1.Pod); isPod && pod.DeletionGracePeriodSeconds != nil {
				mu.Lock()
				seen[pod.Name] = max(seen[pod.Name], *pod.DeletionGracePeriodSeconds)
				mu.Unlock()
			}
		}
	}()
	return func(pod string) int64 {
		mu.Lock()
		defer mu.Unlock()
		return seen[pod]
	}
}
