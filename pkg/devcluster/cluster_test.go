package devcluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// patience is far above what anything takes; no test depends on how long that is.
const patience = 2 * time.Minute

// eventually waits for check to say nil.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, fmt.Errorf("not within %v", patience))
	defer cancel()
	if err := await(ctx, nil, what, check); err != nil {
		t.Fatal(err)
	}
}

// newNamespace is one in which pods can be created.
func newNamespace(t *testing.T, c *Cluster) string {
	t.Helper()
	namespace, err := c.Client().CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "default service account of "+namespace.Name, func(ctx context.Context) error {
		_, err := c.Client().CoreV1().ServiceAccounts(namespace.Name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	return namespace.Name
}

// boundPod is a pod that some scheduler has put on a fake node.
func boundPod(name, node string, policy corev1.RestartPolicy, annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
		Spec: corev1.PodSpec{
			NodeName: node, RestartPolicy: policy,
			InitContainers: []corev1.Container{{Name: "before", Image: "none"}},
			Containers:     []corev1.Container{{Name: "main", Image: "none"}},
		},
	}
}

func create(t *testing.T, c *Cluster, namespace string, pod *corev1.Pod) {
	t.Helper()
	if _, err := c.Client().CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func awaitPod(t *testing.T, c *Cluster, namespace, name, what string, done func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	eventually(t, name+" "+what, func(ctx context.Context) (err error) {
		pod, err = c.Client().CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil && !done(pod) {
			err = fmt.Errorf("phase %s, containers %+v", pod.Status.Phase, pod.Status.ContainerStatuses)
		}
		return err
	})
	return pod
}

func TestPodsOfFakeNodes(t *testing.T) {
	c := sharedCluster(t)
	namespace := newNamespace(t, c)
	inPhase := func(phase corev1.PodPhase) func(*corev1.Pod) bool {
		return func(pod *corev1.Pod) bool { return pod.Status.Phase == phase }
	}
	annotations := func(runFor, exitCode string) map[string]string {
		return map[string]string{fakenodes.RunForAnnotation: runFor, fakenodes.ExitCodeAnnotation: exitCode}
	}
	node := fakenodes.NodeName(1)
	create(t, c, namespace, boundPod("lives", node, corev1.RestartPolicyNever, nil))
	create(t, c, namespace, boundPod("succeeds", node, corev1.RestartPolicyAlways, map[string]string{fakenodes.RunForAnnotation: "10ms"}))
	create(t, c, namespace, boundPod("fails", node, corev1.RestartPolicyNever, annotations("10ms", "3")))
	create(t, c, namespace, boundPod("restarts", node, corev1.RestartPolicyOnFailure, annotations("10ms", "3")))
	create(t, c, namespace, boundPod("confused", node, corev1.RestartPolicyNever, annotations("a while", "3")))

	t.Run("running", func(t *testing.T) {
		pod := awaitPod(t, c, namespace, "lives", "runs", inPhase(corev1.PodRunning))
		main, before := pod.Status.ContainerStatuses[0], pod.Status.InitContainerStatuses[0]
		if main.State.Running == nil || !main.Ready || main.Started == nil || !*main.Started {
			t.Errorf("container %+v, want running, started and ready", main)
		}
		if before.State.Terminated == nil || before.State.Terminated.ExitCode != 0 {
			t.Errorf("init container %+v, want terminated with 0", before)
		}
		if !isReady(pod) || pod.Status.PodIP == "" || pod.Status.HostIP == "" || pod.Status.StartTime == nil {
			t.Errorf("status %+v, want ready, with addresses and a start", pod.Status)
		}
	})
	for name, want := range map[string]struct {
		phase corev1.PodPhase
		code  int32
	}{"succeeds": {corev1.PodSucceeded, 0}, "fails": {corev1.PodFailed, 3}} {
		t.Run(name, func(t *testing.T) {
			pod := awaitPod(t, c, namespace, name, "ends", inPhase(want.phase))
			end := pod.Status.ContainerStatuses[0].State.Terminated
			if end == nil || end.ExitCode != want.code || end.FinishedAt.Before(&end.StartedAt) || end.StartedAt.IsZero() {
				t.Errorf("container ended as %+v, want exit code %d after its start", end, want.code)
			}
			if isReady(pod) {
				t.Error("a pod that has ended is ready")
			}
			if len(pod.Status.PodIPs) != 1 || pod.Status.PodIP == "" {
				t.Errorf("addresses %v, want the one that it ran with", pod.Status.PodIPs)
			}
		})
	}
	t.Run("restarted in place", func(t *testing.T) {
		pod := awaitPod(t, c, namespace, "restarts", "restarts twice", func(pod *corev1.Pod) bool {
			return len(pod.Status.ContainerStatuses) > 0 && pod.Status.ContainerStatuses[0].RestartCount >= 2
		})
		last := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated
		if pod.Status.Phase != corev1.PodRunning || last == nil || last.ExitCode != 3 {
			t.Errorf("phase %s, last end %+v; want Running after exit code 3", pod.Status.Phase, last)
		}
	})
	t.Run("refused", func(t *testing.T) {
		pod := awaitPod(t, c, namespace, "confused", "is refused", inPhase(corev1.PodFailed))
		if !strings.Contains(pod.Status.Message, fakenodes.RunForAnnotation) || !strings.Contains(pod.Status.Message, `"a while"`) {
			t.Errorf("message %q names neither annotation nor value", pod.Status.Message)
		}
	})
	t.Run("deleted", func(t *testing.T) {
		if err := c.Client().CoreV1().Pods(namespace).Delete(t.Context(), "lives", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the pod goes", gone(func(ctx context.Context) error {
			_, err := c.Client().CoreV1().Pods(namespace).Get(ctx, "lives", metav1.GetOptions{})
			return err
		}))
	})
}

// A restarted job's pods have the names of the ones before.
func TestPodThatIsCreatedAgainRunsAgain(t *testing.T) {
	c := sharedCluster(t)
	namespace := newNamespace(t, c)
	pods := c.Client().CoreV1().Pods(namespace)
	var last *corev1.Pod
	for i := range 6 {
		create(t, c, namespace, boundPod("again", fakenodes.NodeName(0), corev1.RestartPolicyNever, nil))
		pod := awaitPod(t, c, namespace, "again", "runs", isReady)
		if last != nil && pod.UID == last.UID {
			t.Fatal("the pod is still the one before")
		}
		last = pod
		var grace *int64 // the node's to end
		if i%2 == 0 {
			grace = new(int64) // at once, past the node
		}
		if err := pods.Delete(t.Context(), "again", metav1.DeleteOptions{GracePeriodSeconds: grace}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the pod goes", gone(func(ctx context.Context) error {
			_, err := pods.Get(ctx, "again", metav1.GetOptions{})
			return err
		}))
	}
}

func TestGarbageIsCollected(t *testing.T) {
	c := sharedCluster(t)
	namespace := newNamespace(t, c)
	client, err := dynamic.NewForConfig(c.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	// Of a custom kind, because the collector must know those from the start.
	groups := client.Resource(schema.GroupVersionResource{Group: "scheduling.x-k8s.io", Version: "v1alpha1", Resource: "podgroups"}).Namespace(namespace)
	owner, err := groups.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "scheduling.x-k8s.io/v1alpha1", "kind": "PodGroup",
		"metadata": map[string]any{"name": "owner"}, "spec": map[string]any{"minMember": int64(1)},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod := boundPod("owned", fakenodes.NodeName(0), corev1.RestartPolicyNever, nil)
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: owner.GetAPIVersion(), Kind: owner.GetKind(), Name: owner.GetName(), UID: owner.GetUID(),
	}}
	create(t, c, namespace, pod)
	awaitPod(t, c, namespace, "owned", "runs", isReady)
	if err := groups.Delete(t.Context(), "owner", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the owned pod goes", gone(func(ctx context.Context) error {
		_, err := c.Client().CoreV1().Pods(namespace).Get(ctx, "owned", metav1.GetOptions{})
		return err
	}))
}

func TestQuotaAndNamespaces(t *testing.T) {
	c := sharedCluster(t)
	namespace := newNamespace(t, c)
	quotas := c.Client().CoreV1().ResourceQuotas(namespace)
	_, err := quotas.Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "one"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			corev1.ResourcePods: resource.MustParse("1"), corev1.ResourceSecrets: resource.MustParse("0"),
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The apiserver hears of it by a watch of its own: it counts once a Secret, of which it allows none, is refused.
	eventually(t, "the quota counts", func(ctx context.Context) error {
		_, err := c.Client().CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "none"}},
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil || !strings.Contains(err.Error(), "exceeded quota") {
			return errors.New("a Secret is not refused: " + fmt.Sprint(err))
		}
		return nil
	})
	create(t, c, namespace, boundPod("first", fakenodes.NodeName(0), corev1.RestartPolicyNever, nil))
	_, err = c.Client().CoreV1().Pods(namespace).Create(t.Context(),
		boundPod("second", fakenodes.NodeName(0), corev1.RestartPolicyNever, nil), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota") {
		t.Errorf("a pod above the quota got %v", err)
	}
	if err := c.Client().CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace goes", gone(func(ctx context.Context) error {
		_, err := c.Client().CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		return err
	}))
}

// Two clusters at once: each has its own nodes, and what happens to those of one
// does not show in the other. The second has a short lease, for the faults.
func TestTwoClustersSideBySide(t *testing.T) {
	first := sharedCluster(t)
	second, err := Start(t.Context(), Options{Nodes: 2, NodeLease: 4 * time.Second, ProcessNode: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := second.Stop(); err != nil {
			t.Error(err)
		}
	}()
	if diff := cmp.Diff([]string{"node-0000", "node-0001", "process-node"}, nodeNames(t, second)); diff != "" {
		t.Errorf("nodes of the second (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"node-0000", "node-0001", "node-0002", "node-0003"}, nodeNames(t, first)); diff != "" {
		t.Errorf("nodes of the first (-want +got):\n%s", diff)
	}

	t.Run("process node", func(t *testing.T) { processNodeRuns(t, second) })
	t.Run("silent node", func(t *testing.T) { silentNode(t, second) })
	t.Run("node in trouble", func(t *testing.T) { nodeInTrouble(t, second) })
	t.Run("nodes of others", func(t *testing.T) { nodesOfOthers(t, second) })
	t.Run("node taken away", func(t *testing.T) {
		if err := second.FakeNodes().Delete(t.Context(), "node-0000"); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(nodeNames(t, second), "node-0000") {
			t.Error("it is still there")
		}
	})
	t.Run("servers restarted", func(t *testing.T) { serversRestarted(t, second) })
}

// A pod of the process node is a real process, and its log comes through the
// apiserver, which trusts the node's certificate.
func processNodeRuns(t *testing.T, c *Cluster) {
	create(t, c, "default", &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "real"},
		Spec: corev1.PodSpec{
			NodeName: processNodeName, RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{{
				Name: "main", Image: "pytorch/pytorch:latest", Command: []string{"/bin/sh", "-c", "echo from a process; exit 3"},
			}},
		},
	})
	pod := awaitPod(t, c, "default", "real", "ends", func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodFailed })
	if end := pod.Status.ContainerStatuses[0].State.Terminated; end == nil || end.ExitCode != 3 {
		t.Errorf("the process ended as %+v, want exit code 3", end)
	}
	text, err := c.Client().CoreV1().Pods("default").GetLogs("real", &corev1.PodLogOptions{}).DoRaw(t.Context())
	if err != nil || !strings.Contains(string(text), "from a process") {
		t.Errorf("log %q, %v", text, err)
	}
	// More than one it has for a while when a busy machine is late with its lease, which is short.
	eventually(t, "beside a process node, fake nodes have one taint, PreferNoSchedule", func(ctx context.Context) error {
		node, err := c.Client().CoreV1().Nodes().Get(ctx, "node-0000", metav1.GetOptions{})
		if err == nil && (len(node.Spec.Taints) != 1 || node.Spec.Taints[0].Effect != corev1.TaintEffectPreferNoSchedule) {
			err = fmt.Errorf("taints %v", node.Spec.Taints)
		}
		return err
	})
}

func silentNode(t *testing.T, c *Cluster) {
	const name = "node-0001"
	pods := c.Client().CoreV1().Pods("default")
	create(t, c, "default", boundPod("stays", name, corev1.RestartPolicyNever, nil))
	create(t, c, "default", boundPod("goes", "node-0000", corev1.RestartPolicyNever, nil))
	awaitPod(t, c, "default", "stays", "runs", isReady)
	awaitPod(t, c, "default", "goes", "runs", isReady)
	if err := c.FakeNodes().StopHeartbeat(name); err != nil {
		t.Fatal(err)
	}
	awaitNodeReady(t, c, name, corev1.ConditionUnknown)
	// What is deleted later, elsewhere, is gone when the first would be.
	for _, pod := range []string{"stays", "goes"} {
		if err := pods.Delete(t.Context(), pod, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the pod of a living node goes", gone(func(ctx context.Context) error {
		_, err := pods.Get(ctx, "goes", metav1.GetOptions{})
		return err
	}))
	pod, err := pods.Get(t.Context(), "stays", metav1.GetOptions{})
	if err != nil || pod.DeletionTimestamp == nil {
		t.Errorf("a pod of a dead machine should hang in its deletion: %v, %v", pod, err)
	}
	if err := c.FakeNodes().ResumeHeartbeat(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	awaitNodeReady(t, c, name, corev1.ConditionTrue)
	eventually(t, "the pod goes when the machine is back", gone(func(ctx context.Context) error {
		_, err := pods.Get(ctx, "stays", metav1.GetOptions{})
		return err
	}))
	if err := c.FakeNodes().StopHeartbeat("stranger"); err == nil {
		t.Error("a node that does not exist fell silent")
	}
}

func nodeInTrouble(t *testing.T, c *Cluster) {
	const name = "node-0001"
	if err := c.FakeNodes().MarkNotReady(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node gets its taint", func(ctx context.Context) error {
		node, err := c.Client().CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err == nil && canTakePods(node) {
			err = fmt.Errorf("taints %v", node.Spec.Taints)
		}
		return err
	})
	if err := c.FakeNodes().MarkReady(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node is well again", func(ctx context.Context) error { return c.awaitNodes(ctx, name) })
}

func nodesOfOthers(t *testing.T, c *Cluster) {
	node := fakenodes.Shape{GPUs: 2}.Node(7)
	node.Name = "theirs"
	if _, err := c.Client().CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	create(t, c, "default", boundPod("guest", "theirs", corev1.RestartPolicyNever, nil))
	awaitPod(t, c, "default", "guest", "runs", isReady)
	awaitLease(t, c, "theirs")
}

func serversRestarted(t *testing.T, c *Cluster) {
	server := c.RESTConfig().Host
	c.APIServer().Kill()
	if err := c.RestartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.RestartEtcd(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.RESTConfig().Host != server {
		t.Errorf("the server has moved from %s to %s", server, c.RESTConfig().Host)
	}
	eventually(t, "the state is there again", func(ctx context.Context) error {
		_, err := c.Client().CoreV1().Nodes().Get(ctx, "theirs", metav1.GetOptions{})
		return err
	})
	create(t, c, "default", boundPod("after", "theirs", corev1.RestartPolicyNever, nil))
	awaitPod(t, c, "default", "after", "runs", isReady)
	select {
	case err := <-c.Failed():
		t.Errorf("a restart on request counts as a failure: %v", err)
	default:
	}
}

// gone turns a Get into a check that there is nothing to get.
func gone(get func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		switch err := get(ctx); {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		default:
			return fmt.Errorf("it is still there")
		}
	}
}

func isReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func nodeNames(t *testing.T, c *Cluster) []string {
	t.Helper()
	list, err := c.Client().CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, node := range list.Items {
		names = append(names, node.Name)
	}
	return names
}

func awaitNodeReady(t *testing.T, c *Cluster, name string, want corev1.ConditionStatus) {
	t.Helper()
	eventually(t, fmt.Sprintf("Ready of %s is %s", name, want), func(ctx context.Context) error {
		node, err := c.Client().CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == want {
				return nil
			}
		}
		return fmt.Errorf("conditions %v", node.Status.Conditions)
	})
}

func awaitLease(t *testing.T, c *Cluster, node string) {
	t.Helper()
	eventually(t, "lease of "+node, func(ctx context.Context) error {
		lease, err := c.Client().CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node, metav1.GetOptions{})
		if err == nil && (len(lease.OwnerReferences) != 1 || lease.OwnerReferences[0].Name != node) {
			err = fmt.Errorf("owners %v", lease.OwnerReferences)
		}
		return err
	})
}
