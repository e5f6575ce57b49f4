package devcluster

import (
	"fmt"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// BenchmarkNodes is the time from the first create until all nodes can be used;
// run it with -benchtime 1000x for a thousand nodes.
func BenchmarkNodes(b *testing.B) {
	c := benchCluster(b, 0)
	b.ResetTimer()
	names, err := c.FakeNodes().Add(b.Context(), fakenodes.DefaultShape(), b.N)
	if err != nil {
		b.Fatal(err)
	}
	if err := c.awaitNodes(b.Context(), names...); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "nodes/s")
}

// BenchmarkRunningPods is the time from the first create until all pods, bound
// when they are created, are Running.
func BenchmarkRunningPods(b *testing.B) {
	const nodes = 100
	c := benchCluster(b, nodes)
	pods := c.Client().CoreV1().Pods(metav1.NamespaceDefault)
	running, done := map[string]bool{}, make(chan struct{})
	factory := informers.NewSharedInformerFactory(c.Client(), 0)
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, object any) {
			pod := object.(*corev1.Pod)
			if !isReady(pod) || running[pod.Name] {
				return
			}
			running[pod.Name] = true
			if len(running) == b.N {
				close(done)
			}
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	factory.StartWithContext(b.Context())
	factory.WaitForCacheSyncWithContext(b.Context())
	b.ResetTimer()
	var all sync.WaitGroup
	const creators = 16
	for first := range creators {
		all.Go(func() {
			for i := first; i < b.N; i += creators {
				pod := boundPod(fmt.Sprintf("p-%d", i), fakenodes.NodeName(i%nodes), corev1.RestartPolicyNever, nil)
				if _, err := pods.Create(b.Context(), pod, metav1.CreateOptions{}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	<-done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pods/s")
}

// benchCluster is a cluster of the benchmark's own.
func benchCluster(b *testing.B, nodes int) *Cluster {
	b.Helper()
	c, err := Start(b.Context(), Options{Nodes: nodes})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if state, err := Status(c.DataDir()); err == nil {
			for _, p := range state.Processes {
				b.Logf("%s: %d MiB resident", p.Name, p.ResidentBytes>>20)
			}
		}
		if err := c.Stop(); err != nil {
			b.Error(err)
		}
	})
	return c
}
