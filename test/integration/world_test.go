package integration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// patience is how long a test waits for what has to come. It is far above what
// anything takes, and no test passes or fails by how long something took.
const patience = 2 * time.Minute

// poolLabel keeps the nodes and pods of one test to themselves.
const poolLabel = "integration.lockstep.dev/pool"

// world is one test's namespace and nodes.
type world struct {
	t         *testing.T
	ctx       context.Context
	namespace string
	nodes     []string
	history   *history
}

// newWorld makes a namespace and n fake nodes of a shape.
func newWorld(t *testing.T, shape fakenodes.Shape, n int) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	namespace := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	namespace = strings.Trim(namespace[:min(len(namespace), 60)], "-")
	w := &world{t: t, ctx: ctx, namespace: namespace}
	_, err := env.client.CoreV1().Namespaces().Create(ctx, &v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	w.must(err)
	w.await("the default service account", func() (bool, string) {
		_, err := env.client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, fmt.Sprint(err)
	})
	if n > 0 {
		labels := map[string]string{poolLabel: namespace}
		maps.Copy(labels, shape.Labels)
		shape.Labels = labels
		w.nodes, err = env.cluster.FakeNodes().Add(ctx, shape, n)
		w.must(err)
	}
	w.history = watchHistory(ctx, t, namespace)
	t.Cleanup(func() {
		if !t.Failed() {
			w.history.verify(w)
		}
		now := int64(0)
		_ = env.client.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{})
		_ = env.client.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{})
		workqueue.ParallelizeUntil(ctx, 16, len(w.nodes), func(i int) {
			_ = env.cluster.FakeNodes().Delete(ctx, w.nodes[i])
		})
		cancel()
	})
	return w
}

// addStillNodes adds nodes that nobody serves: pods are bound to them and never
// start, which spares the machine much work where only binds matter.
func (w *world) addStillNodes(n int) {
	w.t.Helper()
	shape := fakenodes.DefaultShape()
	shape.Labels = map[string]string{poolLabel: w.namespace}
	errs := make([]error, n)
	workqueue.ParallelizeUntil(w.ctx, 16, n, func(i int) {
		node := shape.Node(i)
		node.Name = fmt.Sprintf("still-%04d", i)
		node.Labels[v1.LabelHostname] = node.Name
		delete(node.Labels, "type")
		_, errs[i] = env.client.CoreV1().Nodes().Create(w.ctx, node, metav1.CreateOptions{})
	})
	for i, err := range errs {
		w.must(err)
		name := fmt.Sprintf("still-%04d", i)
		w.t.Cleanup(func() {
			_ = env.client.CoreV1().Nodes().Delete(context.Background(), name, metav1.DeleteOptions{})
		})
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// await waits until done says yes; the text it gives with a no is what the test
// fails with when patience is over.
func (w *world) await(what string, done func() (bool, string)) {
	w.t.Helper()
	var last string
	err := wait.PollUntilContextTimeout(w.ctx, 50*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		ok, text := done()
		last = text
		return ok, nil
	})
	if err != nil {
		w.t.Fatalf("%s did not come within %s: %s", what, patience, last)
	}
}

// gang describes a gang for the tests.
type gangSpec struct {
	name        string
	floor       int
	annotations map[string]string
	labels      map[string]string
	// pods by template: how many of each.
	members []memberSpec
}

type memberSpec struct {
	role     string
	count    int
	gpus     string
	cpu      string
	priority string
	runFor   string // empty: for ever
	change   func(*v1.Pod)
}

func gangOf(name string, size int, gpus string) gangSpec {
	return gangSpec{name: name, floor: size, members: []memberSpec{{role: "worker", count: size, gpus: gpus}}}
}

func (w *world) createGroup(g gangSpec) {
	w.t.Helper()
	pg := &v1alpha1.PodGroup{
		TypeMeta:   metav1.TypeMeta{APIVersion: kube.PodGroupKind.GroupVersion().String(), Kind: kube.PodGroupKind.Kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: g.name, Annotations: g.annotations, Labels: g.labels},
		Spec:       v1alpha1.PodGroupSpec{MinMember: int32(g.floor)},
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pg)
	w.must(err)
	delete(object, "status")
	_, err = env.dynamic.Resource(kube.PodGroups).Namespace(w.namespace).Create(w.ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{})
	w.must(err)
}

// pods lists the gang's pods, not created yet.
func (w *world) pods(g gangSpec) []*v1.Pod {
	var list []*v1.Pod
	for _, m := range g.members {
		for i := range m.count {
			limits := v1.ResourceList{}
			if m.gpus != "" {
				limits["nvidia.com/gpu"] = resource.MustParse(m.gpus)
			}
			if m.cpu != "" {
				limits[v1.ResourceCPU] = resource.MustParse(m.cpu)
			}
			pod := &v1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: w.namespace, Name: fmt.Sprintf("%s-%s-%d", g.name, m.role, i),
					Labels: map[string]string{
						kube.PodGroupLabel: g.name, "training.kubeflow.org/replica-type": m.role,
						"training.kubeflow.org/replica-index": fmt.Sprint(i),
					},
					Annotations: map[string]string{},
				},
				Spec: v1.PodSpec{
					SchedulerName: "lockstep", RestartPolicy: v1.RestartPolicyNever, PriorityClassName: m.priority,
					NodeSelector: map[string]string{poolLabel: w.namespace},
					Containers: []v1.Container{{
						Name: "main", Image: "example.test/train:1", Resources: v1.ResourceRequirements{Limits: limits},
					}},
				},
			}
			if m.runFor != "" {
				pod.Annotations[fakenodes.RunForAnnotation] = m.runFor
			}
			if m.change != nil {
				m.change(pod)
			}
			list = append(list, pod)
		}
	}
	return list
}

func (w *world) createPods(pods []*v1.Pod) {
	w.t.Helper()
	errs := make([]error, len(pods))
	workqueue.ParallelizeUntil(w.ctx, 8, len(pods), func(i int) {
		_, errs[i] = env.client.CoreV1().Pods(w.namespace).Create(w.ctx, pods[i], metav1.CreateOptions{})
	})
	for _, err := range errs {
		w.must(err)
	}
}

func (w *world) create(g gangSpec) {
	w.t.Helper()
	w.createGroup(g)
	w.createPods(w.pods(g))
}

// placed returns the node of each of a gang's live pods that has one.
func (w *world) placed(name string) map[string]string {
	w.t.Helper()
	list, err := env.client.CoreV1().Pods(w.namespace).List(w.ctx, metav1.ListOptions{LabelSelector: kube.PodGroupLabel + "=" + name})
	w.must(err)
	nodes := map[string]string{}
	for _, pod := range list.Items {
		if pod.Spec.NodeName != "" && pod.DeletionTimestamp == nil {
			nodes[pod.Name] = pod.Spec.NodeName
		}
	}
	return nodes
}

// awaitPlaced waits until n members of the gang have a node, and returns them.
func (w *world) awaitPlaced(name string, n int) map[string]string {
	w.t.Helper()
	var nodes map[string]string
	w.await(fmt.Sprintf("%d placed members of %s", n, name), func() (bool, string) {
		nodes = w.placed(name)
		reason, message := w.condition(name)
		return len(nodes) == n, fmt.Sprintf("%d placed: %v; PodGroup: %s: %s", len(nodes), nodes, reason, message)
	})
	return nodes
}

// condition returns reason and message of the PodGroup's Scheduled condition.
func (w *world) condition(name string) (reason, message string) {
	w.t.Helper()
	pg, err := env.dynamic.Resource(kube.PodGroups).Namespace(w.namespace).Get(w.ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "NotFound", err.Error()
	}
	w.must(err)
	conditions, _, _ := unstructured.NestedSlice(pg.Object, "status", "conditions")
	for _, c := range conditions {
		if condition, ok := c.(map[string]any); ok && condition["type"] == kube.ScheduledCondition {
			reason, _ = condition["reason"].(string)
			message, _ = condition["message"].(string)
		}
	}
	return reason, message
}

// awaitReason waits until the gang's reason is one of the given.
func (w *world) awaitReason(name string, reasons ...string) string {
	w.t.Helper()
	var message string
	w.await(fmt.Sprintf("reason %v of %s", reasons, name), func() (bool, string) {
		var reason string
		reason, message = w.condition(name)
		return slices.Contains(reasons, reason), reason + ": " + message
	})
	return message
}

// awaitSays waits until a gang has a reason, in words that have these parts. What it is told at first
// may be about less than was created: the scheduler hears of nodes, pods and queues by watches of their own.
func (w *world) awaitSays(name, reason string, parts ...string) {
	w.t.Helper()
	w.await(fmt.Sprintf("%s: %s, with %q", name, reason, parts), func() (bool, string) {
		got, message := w.condition(name)
		lacks := func(part string) bool { return !strings.Contains(message, part) }
		return got == reason && !slices.ContainsFunc(parts, lacks), got + ": " + message
	})
}

// label returns a node's label.
func (w *world) label(node, key string) string {
	w.t.Helper()
	object, err := env.client.CoreV1().Nodes().Get(w.ctx, node, metav1.GetOptions{})
	w.must(err)
	return object.Labels[key]
}

// deleteGang deletes a gang's pods at once, and its PodGroup.
func (w *world) deleteGang(name string) {
	w.t.Helper()
	now := int64(0)
	w.must(env.client.CoreV1().Pods(w.namespace).DeleteCollection(w.ctx, metav1.DeleteOptions{GracePeriodSeconds: &now},
		metav1.ListOptions{LabelSelector: kube.PodGroupLabel + "=" + name}))
	w.must(env.dynamic.Resource(kube.PodGroups).Namespace(w.namespace).Delete(w.ctx, name, metav1.DeleteOptions{}))
}
