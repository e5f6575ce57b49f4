package advisor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
	"sigs.k8s.io/yaml"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/controller"
	"lockstep.dev/lockstep/pkg/devcluster"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	os.Exit(m.Run())
}

// live is a cluster with one machine of eight GPUs, the real scheduler, and in this process
// the controller and the advisor with the shipped account's rights.
type live struct {
	t      *testing.T
	client client.Client
}

const namespace = "default"

func newLive(t *testing.T) *live {
	t.Helper()
	return newLiveWith(t, Options{})
}

func newLiveWith(t *testing.T, options Options) *live {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane, and -short was given")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cluster, err := devcluster.Start(ctx, devcluster.Options{Nodes: 1, Scheduler: true})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	l := &live{t: t}
	mgr := l.manager(ctx, cluster, options)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = cluster.Stop()
	})
	return l
}

func (l *live) manager(ctx context.Context, cluster *devcluster.Cluster, options Options) ctrl.Manager {
	l.t.Helper()
	var err error
	l.client, err = client.New(cluster.RESTConfig(), client.Options{Scheme: controller.Scheme()})
	l.must(err)
	seconds := int64(3600)
	token, err := cluster.Client().CoreV1().ServiceAccounts("lockstep-system").CreateToken(ctx, "lockstep-controller",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	l.must(err)
	config := rest.AnonymousClientConfig(cluster.RESTConfig())
	config.BearerToken = token.Status.Token
	config.QPS, config.Burst = 200, 400
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: controller.Scheme(), Cache: controller.Cache(), Metrics: server.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: new(true)}}) // there is one for each test
	l.must(err)
	board := controller.NewBoard()
	l.must(controller.Add(ctx, mgr, controller.Options{
		Settings: controller.DefaultSettings(), Recorder: &record.FakeRecorder{}, Board: board,
	}))
	options.Board, options.SchedulerName, options.Every = board, "lockstep", 200*time.Millisecond
	l.must(Add(mgr, options))
	return mgr
}

func (l *live) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *live) await(what string, done func() (bool, any)) {
	l.t.Helper()
	var last any
	err := wait.PollUntilContextTimeout(l.t.Context(), 50*time.Millisecond, 2*time.Minute, true, func(context.Context) (bool, error) {
		ok, text := done()
		last = text
		return ok, nil
	})
	if err != nil {
		l.t.Fatalf("%s did not come: %v", what, last)
	}
}

func (l *live) job(name string) *v1.PyTorchJob {
	l.t.Helper()
	job := &v1.PyTorchJob{}
	l.must(l.client.Get(l.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, job))
	return job
}

// bound returns the UIDs of a gang's pods that run, by name.
func (l *live) bound(gang string) map[string]types.UID {
	l.t.Helper()
	pods := &corev1.PodList{}
	l.must(l.client.List(l.t.Context(), pods, client.InNamespace(namespace), client.MatchingLabels{controller.LabelPodGroup: gang}))
	bound := map[string]types.UID{}
	for _, pod := range pods.Items {
		if pod.Spec.NodeName != "" && pod.DeletionTimestamp == nil {
			bound[strings.TrimPrefix(pod.Name, gang+"-")] = pod.UID
		}
	}
	return bound
}

func (l *live) awaitBound(gang string, n int) map[string]types.UID {
	l.t.Helper()
	var bound map[string]types.UID
	l.await(fmt.Sprintf("%d bound pods of %s", n, gang), func() (bool, any) {
		bound = l.bound(gang)
		var shown any = len(bound)
		if job := (&v1.PyTorchJob{}); l.client.Get(l.t.Context(), client.ObjectKey{Namespace: namespace, Name: gang}, job) == nil {
			shown = fmt.Sprintf("%d; %+v", len(bound), job.Status.Conditions)
		}
		return len(bound) == n, shown
	})
	return bound
}

func (l *live) create(text string) *v1.PyTorchJob {
	l.t.Helper()
	job := &v1.PyTorchJob{}
	l.must(yaml.UnmarshalStrict([]byte(text), job))
	job.Namespace = namespace
	l.must(l.client.Create(l.t.Context(), job))
	return job
}

// createGang makes a gang that nobody's controller looks after.
func (l *live) createGang(name string, pods int) {
	l.t.Helper()
	l.must(l.client.Create(l.t.Context(), &scheduling.PodGroup{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: scheduling.PodGroupSpec{MinMember: int32(pods)},
	}))
	for i := range pods {
		l.must(l.client.Create(l.t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s-%d", name, i),
				Labels: map[string]string{controller.LabelPodGroup: name}},
			Spec: corev1.PodSpec{SchedulerName: "lockstep", Containers: []corev1.Container{{Name: "a", Image: "a",
				Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}}}}},
		}))
	}
}

// awaitVerdict waits until the job shows a decision, for a reason that says this: the one
// before it may have had the same name.
func (l *live) awaitVerdict(job, verdict, says string) {
	l.t.Helper()
	l.await(fmt.Sprintf("verdict %s on %s: %s", verdict, job, says), func() (bool, any) {
		conditions := l.job(job).Status.Conditions
		return slices.ContainsFunc(conditions, func(c v1.JobCondition) bool {
			return c.Type == "Autoscaled" && c.Reason == verdict && strings.Contains(c.Message, says)
		}), conditions
	})
}
