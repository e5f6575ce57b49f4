package processnode

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/virtual-kubelet/virtual-kubelet/node/api"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"lockstep.dev/lockstep/pkg/devcluster/processnode/sandbox"
)

func TestMain(m *testing.M) {
	MaybeRunShim()
	os.Exit(m.Run())
}

// fakeCluster is a cluster of plain data.
type fakeCluster struct {
	mu       sync.Mutex
	services []*v1.Service
	maps     map[string]*v1.ConfigMap
	secrets  map[string]*v1.Secret
	events   []string
}

func (f *fakeCluster) Services() []*v1.Service {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.services
}

func (f *fakeCluster) ConfigMap(namespace, name string) (*v1.ConfigMap, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.maps[namespace+"/"+name]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("configmaps %q not found", name)
}

func (f *fakeCluster) Secret(namespace, name string) (*v1.Secret, error) {
	if s := f.secrets[namespace+"/"+name]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("secrets %q not found", name)
}

func (f *fakeCluster) Event(pod *v1.Pod, _, reason, message string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, pod.Name+" "+reason+": "+message)
}

func (f *fakeCluster) addHeadless(namespace, name string, selector map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.services = append(f.services, headless(namespace, name, selector))
}

func headless(namespace, name string, selector map[string]string) *v1.Service {
	return &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1.ServiceSpec{ClusterIP: v1.ClusterIPNone, Selector: selector, PublishNotReadyAddresses: true},
	}
}

// patience is how long a test waits for what must come; a busy machine needs most of it to load torch.
const patience = 2 * time.Minute

// rig is a runtime with helpers that wait.
type rig struct {
	*Runtime
	t     testing.TB
	world *fakeCluster
}

func newRig(t testing.TB, mode sandbox.Mode, workspace string) *rig {
	t.Helper()
	world := &fakeCluster{maps: map[string]*v1.ConfigMap{}, secrets: map[string]*v1.Secret{}}
	opts, err := Options{
		DataDir: t.TempDir(), Workspace: workspace, Isolation: mode, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}.complete()
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRuntime(t.Context(), opts, world)
	if err != nil && mode != sandbox.ModeLoopback {
		t.Skipf("this machine does not allow isolation %s: %v", mode, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return &rig{r, t, world}
}

// eachMode runs a test in every kind of isolation.
func eachMode(t *testing.T, f func(t *testing.T, r *rig)) {
	for _, mode := range []sandbox.Mode{sandbox.ModeRoot, sandbox.ModeUser, sandbox.ModeLoopback} {
		t.Run(string(mode), func(t *testing.T) { f(t, newRig(t, mode, "")) })
	}
}

// script is a pod of one container that runs a shell script.
func script(name, text string) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name + "-uid"), Labels: map[string]string{"app": name}},
		Spec: v1.PodSpec{
			NodeName: "process-node", RestartPolicy: v1.RestartPolicyNever,
			Containers: []v1.Container{{Name: "main", Image: "busybox:1", Command: []string{"sh", "-c", text}}},
		},
	}
}

func pythonScript(name, text string) *v1.Pod {
	pod := script(name, "")
	pod.Spec.Containers[0].Image = "python:3"
	pod.Spec.Containers[0].Command = []string{"python", "-c", text}
	return pod
}

func (r *rig) create(pods ...*v1.Pod) {
	r.t.Helper()
	for _, pod := range pods {
		if err := r.CreatePod(r.t.Context(), pod); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) status(pod *v1.Pod) v1.PodStatus {
	r.t.Helper()
	status, err := r.GetPodStatus(r.t.Context(), pod.Namespace, pod.Name)
	if err != nil {
		r.t.Fatal(err)
	}
	return *status
}

func (r *rig) await(pod *v1.Pod, what string, yes func(v1.PodStatus) bool) v1.PodStatus {
	r.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		status := r.status(pod)
		if yes(status) {
			return status
		}
		if time.Now().After(deadline) {
			r.world.mu.Lock()
			defer r.world.mu.Unlock()
			text, _ := os.ReadFile(filepath.Join(r.opts.DataDir, "pods", string(pod.UID), "containers", pod.Spec.Containers[0].Name, "0", "log"))
			r.t.Fatalf("pod %s: not %s; status %+v\nevents %q\nfirst log:\n%s", pod.Name, what, status, r.world.events, text)
		}
	}
}

func (r *rig) awaitPhase(pod *v1.Pod, phase v1.PodPhase) v1.PodStatus {
	r.t.Helper()
	return r.await(pod, string(phase), func(s v1.PodStatus) bool { return s.Phase == phase })
}

func (r *rig) logs(pod *v1.Pod, o api.ContainerLogOpts) string {
	r.t.Helper()
	stream, err := r.GetContainerLogs(r.t.Context(), pod.Namespace, pod.Name, pod.Spec.Containers[0].Name, o)
	if err != nil {
		r.t.Fatal(err)
	}
	defer stream.Close()
	text, err := io.ReadAll(stream)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

func (r *rig) awaitLog(pod *v1.Pod, want string) {
	r.t.Helper()
	r.await(pod, "logging "+want, func(v1.PodStatus) bool {
		stream, err := r.GetContainerLogs(r.t.Context(), pod.Namespace, pod.Name, pod.Spec.Containers[0].Name, api.ContainerLogOpts{})
		if err != nil {
			return false
		}
		defer stream.Close()
		text, _ := io.ReadAll(stream)
		return strings.Contains(string(text), want)
	})
}

func exitCode(s v1.PodStatus) int32 { return s.ContainerStatuses[0].State.Terminated.ExitCode }

func (r *rig) remove(pod *v1.Pod, grace int64) {
	r.t.Helper()
	pod = pod.DeepCopy()
	pod.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	pod.DeletionGracePeriodSeconds = &grace
	if err := r.DeletePod(r.t.Context(), pod); err != nil {
		r.t.Fatal(err)
	}
}

func withGPUs(pod *v1.Pod, n string) {
	list := v1.ResourceList{"nvidia.com/gpu": quantity(n)}
	pod.Spec.Containers[0].Resources = v1.ResourceRequirements{Limits: list, Requests: list}
}
