package controller

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/devcluster"
)

// shared is the control plane of this package's integration tests, started by the
// first that needs it, and the controller in it, with the rights of its own account.
var shared struct {
	sync.Once
	cluster *devcluster.Cluster
	client  client.Client
	calls   calls
	stop    func()
	err     error
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	code := m.Run()
	if shared.stop != nil {
		shared.stop()
	}
	os.Exit(code)
}

// calls counts what the controller asks of the apiserver, by verb and path.
type calls struct {
	mu   sync.Mutex
	list []string
}

type counting struct {
	next  http.RoundTripper
	calls *calls
}

func (c counting) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Query().Get("watch") == "" {
		c.calls.mu.Lock()
		call := request.Method + " " + request.URL.Path
		if request.URL.Query().Get("dryRun") != "" {
			call = "DRYRUN " + request.URL.Path
		}
		c.calls.list = append(c.calls.list, call)
		c.calls.mu.Unlock()
	}
	return c.next.RoundTrip(request)
}

// about returns the calls that a namespace is in.
func (c *calls) about(namespace string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []string
	for _, call := range c.list {
		if strings.Contains(call, "/namespaces/"+namespace+"/") {
			list = append(list, call)
		}
	}
	return list
}

func startShared() error {
	ctx, cancel := context.WithCancel(context.Background())
	cluster, err := devcluster.Start(ctx, devcluster.Options{ControllerManagerArgs: []string{
		"--horizontal-pod-autoscaler-sync-period=1s", "--horizontal-pod-autoscaler-downscale-stabilization=1s",
	}})
	if err != nil {
		cancel()
		return err
	}
	shared.cluster = cluster
	done := make(chan error, 1)
	shared.stop = func() {
		cancel()
		<-done
		_ = cluster.Stop()
	}
	config := cluster.RESTConfig()
	config.QPS, config.Burst = 1000, 2000
	if shared.client, err = client.New(config, client.Options{Scheme: Scheme()}); err != nil {
		done <- err
		return err
	}
	mgr, err := newController(ctx, cluster, DefaultSettings())
	if err != nil {
		done <- err
		return err
	}
	go func() { done <- mgr.Start(ctx) }()
	return nil
}

// newController is the controller as its command runs it, with the shipped account's rights.
func newController(ctx context.Context, cluster *devcluster.Cluster, settings Settings) (ctrl.Manager, error) {
	seconds := int64(3600)
	token, err := cluster.Client().CoreV1().ServiceAccounts("lockstep-system").CreateToken(ctx, "lockstep-controller",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	config := rest.AnonymousClientConfig(cluster.RESTConfig())
	config.BearerToken = token.Status.Token
	config.QPS, config.Burst = 200, 400
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return counting{next, &shared.calls} })
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: Scheme(), Cache: Cache(), Metrics: server.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: new(true)}}) // there is one for each set of settings
	if err != nil {
		return nil, err
	}
	events, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	broadcaster := record.NewBroadcaster(record.WithCorrelatorOptions(record.CorrelatorOptions{BurstSize: 500, QPS: 1, MaxEvents: 200}))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: events.CoreV1().Events("")})
	return mgr, Add(ctx, mgr, Options{
		Settings:      settings,
		Recorder:      broadcaster.NewRecorder(Scheme(), corev1.EventSource{Component: OperatorName}),
		Workers:       8,
		OtherOperator: DefaultOtherOperator,
	})
}

// live is one test's job on the real control plane. The test plays the kubelet: pods
// stay unbound, and their status is written by hand.
type live struct {
	t         *testing.T
	ctx       context.Context
	namespace string
	name      string
	client    client.Client
}

// patience is how long what must come may take; no test passes by how long it took.
const testPatience = 90 * time.Second

// newLive makes a namespace; the test runs beside others.
func newLive(t *testing.T) *live {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane, and -short was given")
	}
	shared.Do(func() { shared.err = startShared() })
	if shared.err != nil {
		t.Fatalf("no control plane: %v", shared.err)
	}
	t.Parallel()
	l := &live{t: t, ctx: t.Context(), name: "job", client: shared.client}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	l.must(l.client.Create(l.ctx, namespace))
	l.namespace = namespace.Name
	l.await("the default service account", func() (bool, any) {
		account := &corev1.ServiceAccount{}
		err := l.client.Get(l.ctx, client.ObjectKey{Namespace: l.namespace, Name: "default"}, account)
		return err == nil, err
	})
	t.Cleanup(func() {
		if t.Failed() {
			for _, event := range l.events() {
				t.Logf("event: %s %s %s", event.Type, event.Reason, event.Message)
			}
		}
		ctx := context.Background()
		job := &v1.PyTorchJob{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: l.name}}
		_ = l.client.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground))
		_ = l.client.Delete(ctx, namespace)
	})
	return l
}

func (l *live) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// await waits until done says yes; what it says besides is shown when patience ends.
func (l *live) await(what string, done func() (bool, any)) {
	l.t.Helper()
	var last any
	err := wait.PollUntilContextTimeout(l.ctx, 30*time.Millisecond, testPatience, true, func(context.Context) (bool, error) {
		ok, text := done()
		last = text
		return ok, nil
	})
	if err != nil {
		l.t.Fatalf("%s did not come: %v", what, last)
	}
}

// create makes a job as "kubectl apply" does: fields that the schema does not know are refused.
func (l *live) create(text string) error {
	job := parseJob(l.t, text)
	job.Namespace = l.namespace
	l.name = job.Name
	return l.client.Create(l.ctx, job, client.FieldValidation("Strict"))
}

func (l *live) job() *v1.PyTorchJob {
	l.t.Helper()
	job := &v1.PyTorchJob{}
	l.must(l.client.Get(l.ctx, client.ObjectKey{Namespace: l.namespace, Name: l.name}, job))
	return job
}

// edit patches the job's spec or metadata.
func (l *live) edit(edit func(*v1.PyTorchJob)) error {
	before := l.job()
	after := before.DeepCopy()
	edit(after)
	return l.client.Patch(l.ctx, after, client.MergeFrom(before))
}

// scale goes the way of "kubectl scale" and of autoscalers, which try again after a conflict.
func (l *live) scale(n int32) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		scale := &autoscalingv1.Scale{}
		if err := l.client.SubResource("scale").Get(l.ctx, l.job(), scale); err != nil {
			return err
		}
		scale.Spec.Replicas = n
		return l.client.SubResource("scale").Update(l.ctx, l.job(), client.WithSubResourceBody(scale))
	})
}

// awaitState waits for the printer column; the last state must be true.
func (l *live) awaitState(want v1.JobConditionType) *v1.PyTorchJob {
	l.t.Helper()
	var job *v1.PyTorchJob
	l.await(fmt.Sprintf("state %s", want), func() (bool, any) {
		job = l.job()
		conditions := job.Status.Conditions
		return len(conditions) > 0 && conditions[len(conditions)-1].Type == want, conditions
	})
	return job
}

func (l *live) pods() map[string]*corev1.Pod {
	l.t.Helper()
	list := &corev1.PodList{}
	l.must(l.client.List(l.ctx, list, client.InNamespace(l.namespace)))
	pods := map[string]*corev1.Pod{}
	for i := range list.Items {
		pods[strings.TrimPrefix(list.Items[i].Name, l.name+"-")] = &list.Items[i]
	}
	return pods
}

// awaitPods waits for exactly these pods, in any order.
func (l *live) awaitPods(names ...string) map[string]*corev1.Pod {
	l.t.Helper()
	var pods map[string]*corev1.Pod
	l.await(fmt.Sprintf("pods %v", names), func() (bool, any) {
		pods = l.pods()
		for _, name := range names {
			if pods[name] == nil {
				return false, fmt.Sprintf("%d pods, no %s", len(pods), name)
			}
		}
		return len(pods) == len(names), fmt.Sprintf("%d pods", len(pods))
	})
	return pods
}

// change writes a pod's status as its kubelet would.
func (l *live) change(name string, edit func(*corev1.PodStatus)) {
	l.t.Helper()
	l.await("the status of "+name, func() (bool, any) {
		pod := &corev1.Pod{}
		err := l.client.Get(l.ctx, client.ObjectKey{Namespace: l.namespace, Name: l.name + "-" + name}, pod)
		if err == nil {
			edit(&pod.Status)
			err = l.client.Status().Update(l.ctx, pod)
		}
		return err == nil, err
	})
}

func (l *live) run(names ...string) {
	l.t.Helper()
	for _, name := range names {
		l.change(name, func(status *corev1.PodStatus) { status.Phase = corev1.PodRunning })
	}
}

func (l *live) exit(name string, code int32) {
	l.t.Helper()
	l.change(name, func(status *corev1.PodStatus) {
		status.Phase = corev1.PodSucceeded
		if code != 0 {
			status.Phase = corev1.PodFailed
		}
		status.ContainerStatuses = []corev1.ContainerStatus{{Name: v1.ContainerName, Image: "a", State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: metav1.Now()},
		}}}
	})
}

// events are those of the job, oldest first.
func (l *live) events() []corev1.Event {
	list := &corev1.EventList{}
	if err := l.client.List(context.Background(), list, client.InNamespace(l.namespace)); err != nil {
		l.t.Error(err)
	}
	return list.Items
}

func (l *live) told(reason string) (n int, message string) {
	for _, event := range l.events() {
		if event.Reason == reason {
			n += int(max(event.Count, 1))
			message = event.Message
		}
	}
	return n, message
}

// awaitEvent waits for an event and returns its message.
func (l *live) awaitEvent(reason string) string {
	l.t.Helper()
	var message string
	l.await("event "+reason, func() (bool, any) {
		var n int
		n, message = l.told(reason)
		return n > 0, "no such event"
	})
	return message
}

func (l *live) exists(object client.Object, name string) bool {
	l.t.Helper()
	err := l.client.Get(l.ctx, client.ObjectKey{Namespace: l.namespace, Name: name}, object)
	if client.IgnoreNotFound(err) != nil {
		l.t.Fatal(err)
	}
	return err == nil
}

func (l *live) wantRefusal(err error, part string) {
	l.t.Helper()
	if err == nil {
		l.t.Fatalf("accepted; want a refusal with %q", part)
	}
	if !strings.Contains(err.Error(), part) {
		l.t.Errorf("refused with\n%v\nwant\n%s", err, part)
	}
}
