package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// creators is the number of requests that a stage has under way at once.
const creators = 16

// stage is a control plane on which schedulers take turns.
type stage struct {
	cluster *devcluster.Cluster
	client  kubernetes.Interface
	dynamic dynamic.Interface
	shape   fakenodes.Shape
	log     func(string)
	turns   int
}

// newStage starts a control plane; native switches on what that scheduler needs.
func newStage(ctx context.Context, shape fakenodes.Shape, native bool, log func(string)) (*stage, error) {
	if log == nil {
		log = func(string) {}
	}
	options := devcluster.Options{Log: log}
	if native {
		options.FeatureGates, options.RuntimeConfig = nativeGates, nativeAPIs
	}
	cluster, err := devcluster.Start(ctx, options)
	if err != nil {
		return nil, err
	}
	config := cluster.RESTConfig()
	config.QPS, config.Burst = 5000, 10000
	s := &stage{cluster: cluster, shape: shape.WithDefaults(), log: log}
	if s.client, err = kubernetes.NewForConfig(config); err == nil {
		s.dynamic, err = dynamic.NewForConfig(config)
	}
	if err != nil {
		_ = cluster.Stop() // the error says more
		return nil, err
	}
	return s, nil
}

// close stops everything; what does not stop in time ends with this process.
func (s *stage) close() { _ = s.cluster.Stop() }

// turn is one scheduler's go: a namespace, fresh nodes, the scheduler, and a
// watch that notes when each pod is bound.
type turn struct {
	*stage
	contestant scheduler
	namespace  string
	nodes      []string
	process    *devcluster.Process
	stopWatch  context.CancelFunc

	mu      sync.Mutex
	bound   map[types.UID]time.Time
	created map[types.UID]time.Time
	changed chan struct{} // closed and replaced at every bind
}

func (s *stage) begin(ctx context.Context, contestant scheduler, nodes int) (*turn, error) {
	s.turns++
	t := &turn{
		stage: s, contestant: contestant, namespace: fmt.Sprintf("bench-%d", s.turns),
		bound: map[types.UID]time.Time{}, created: map[types.UID]time.Time{}, changed: make(chan struct{}),
	}
	if _, err := s.client.CoreV1().Namespaces().Create(ctx, &v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: t.namespace}}, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	if err := t.awaitAccount(ctx); err != nil {
		return nil, err
	}
	if err := t.makeNodes(ctx, nodes); err != nil {
		return nil, err
	}
	watch, stop := context.WithCancel(ctx)
	t.stopWatch = stop
	if err := t.watch(watch); err != nil {
		return nil, err
	}
	var err error
	t.process, err = contestant.start(ctx, s.cluster)
	return t, err
}

// end takes everything away again.
func (t *turn) end(ctx context.Context) error {
	t.stopWatch()
	if t.process != nil {
		t.process.Kill()
	}
	now := int64(0)
	if err := t.client.CoreV1().Pods(t.namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{}); err != nil {
		return err
	}
	err := t.parallel(ctx, len(t.nodes), func(i int) error {
		return t.client.CoreV1().Nodes().Delete(ctx, t.nodes[i], metav1.DeleteOptions{})
	})
	if err != nil {
		return err
	}
	return t.client.CoreV1().Namespaces().Delete(ctx, t.namespace, metav1.DeleteOptions{})
}

func (t *turn) parallel(ctx context.Context, n int, do func(i int) error) error {
	errs := make([]error, n)
	workqueue.ParallelizeUntil(ctx, creators, n, func(i int) { errs[i] = do(i) })
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// awaitAccount waits for the namespace's service account, which pods need.
func (t *turn) awaitAccount(ctx context.Context) error {
	for {
		if _, err := t.client.CoreV1().ServiceAccounts(t.namespace).Get(ctx, "default", metav1.GetOptions{}); err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("no default service account in namespace %s: %w", t.namespace, ctx.Err())
		}
	}
}

// makeNodes makes nodes that nothing serves: no pod starts on them.
func (t *turn) makeNodes(ctx context.Context, n int) error {
	t.nodes = make([]string, n)
	return t.parallel(ctx, n, func(i int) error {
		node := t.shape.Node(i)
		delete(node.Labels, "type")
		t.nodes[i] = node.Name
		_, err := t.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}) // a node's status is created with it
		return err
	})
}

func (t *turn) watch(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(t.client, 0, informers.WithNamespace(t.namespace))
	informer := factory.Core().V1().Pods().Informer()
	see := func(o any) {
		pod, ok := o.(*v1.Pod)
		if !ok || pod.Spec.NodeName == "" {
			return
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if _, known := t.bound[pod.UID]; !known {
			t.bound[pod.UID] = time.Now()
			close(t.changed)
			t.changed = make(chan struct{})
		}
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: see, UpdateFunc: func(_, o any) { see(o) }}); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return nil
}

// awaitBound waits until n pods of this turn are bound.
func (t *turn) awaitBound(ctx context.Context, n int) error {
	for {
		t.mu.Lock()
		have, changed := len(t.bound), t.changed
		t.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-changed:
		case <-t.process.Done():
			return fmt.Errorf("scheduler %s has ended; its log: %s", t.contestant.name, t.process.LogPath())
		case <-ctx.Done():
			return fmt.Errorf("scheduler %s: %d of %d pods bound: %w", t.contestant.name, have, n, context.Cause(ctx))
		}
	}
}

// createGang creates one gang with its pods; where the scheduler knows no gangs,
// the pods alone. It returns the pods' UIDs.
func (t *turn) createGang(ctx context.Context, name string, size, gpus int) ([]types.UID, error) {
	if t.contestant.group != nil {
		group := t.contestant.group(t.namespace, name, size)
		object := &unstructured.Unstructured{Object: group.object}
		if _, err := t.dynamic.Resource(group.resource).Namespace(t.namespace).Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return nil, err
		}
	}
	uids := make([]types.UID, size)
	for i := range size {
		pod, err := t.client.CoreV1().Pods(t.namespace).Create(ctx, t.pod(name, i, gpus), metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		uids[i] = pod.UID
		t.mu.Lock()
		t.created[pod.UID] = time.Now()
		t.mu.Unlock()
	}
	return uids, nil
}

func (t *turn) pod(gang string, i, gpus int) *v1.Pod {
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", gang, i), Labels: map[string]string{}},
		Spec: v1.PodSpec{
			SchedulerName: t.contestant.podsName,
			Containers: []v1.Container{{
				Name: "main", Image: "bench.test/none:1",
				Resources: v1.ResourceRequirements{Limits: v1.ResourceList{
					"nvidia.com/gpu": *resource.NewQuantity(int64(gpus), resource.DecimalSI),
					v1.ResourceCPU:   resource.MustParse("1"), v1.ResourceMemory: resource.MustParse("1Gi"),
				}},
			}},
		},
	}
	pod.Labels["training.kubeflow.org/replica-index"] = fmt.Sprint(i)
	if t.contestant.join != nil {
		t.contestant.join(pod, gang)
	}
	return pod
}
