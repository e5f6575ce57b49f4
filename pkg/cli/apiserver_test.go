package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// apiserver is as much of an apiserver as the verbs about a job need: it keeps objects,
// lists and watches them by selectors, and serves logs that grow while they are read.
type apiserver struct {
	t          *testing.T
	kubeconfig string

	mu      sync.Mutex
	changed chan struct{} // closed at each change
	history []change      // all changes; the resource version is its length
	refuses string        // requests whose path contains it are forbidden
	logs    map[string]*containerLog
	asked   []string // for logs
	watches int      // that have been begun
}

type change struct {
	kind   string // watch.EventType
	object *unstructured.Unstructured
}

// containerLog is what one attempt of a container has written, at one line a second.
type containerLog struct {
	lines  []string
	ended  bool
	broken int // streams of so many breaks are cut
}

// logStart is the time of the first line of each log.
var logStart = time.Date(2026, 1, 1, 0, 0, 0, 5e8, time.UTC)

func newAPIServer(t *testing.T) *apiserver {
	a := &apiserver{t: t, changed: make(chan struct{}), logs: map[string]*containerLog{}}
	server := httptest.NewServer(a)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: server.URL}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", Namespace: "team-a"}
	config.CurrentContext = "test"
	a.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, a.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return a
}

// invoke runs a command line against the server.
func (a *apiserver) invoke(args ...string) (code int, out, errOut string) {
	return invoke(append(args[:1:1], append([]string{"--kubeconfig", a.kubeconfig}, args[1:]...)...)...)
}

// do makes a change and wakes all who wait for one.
func (a *apiserver) do(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
	close(a.changed)
	a.changed = make(chan struct{})
}

// await waits for a change after which something holds.
func (a *apiserver) await(holds func() bool) {
	for {
		a.mu.Lock()
		yes, changed := holds(), a.changed
		a.mu.Unlock()
		if yes {
			return
		}
		<-changed
	}
}

// put creates or updates an object.
func (a *apiserver) put(object any) *unstructured.Unstructured {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			panic(err)
		}
		u = &unstructured.Unstructured{Object: fields}
	}
	u = u.DeepCopy()
	a.do(func() {
		kind := "ADDED"
		if old := a.objects()[keyOf(u)]; old != nil {
			kind = "MODIFIED"
			u.SetUID(old.GetUID())
		}
		if u.GetUID() == "" {
			u.SetUID(types.UID(fmt.Sprint("uid-", len(a.history))))
			if created := u.GetCreationTimestamp(); created.IsZero() {
				u.SetCreationTimestamp(metav1.Now())
			}
		}
		a.record(kind, u)
	})
	return u
}

func (a *apiserver) record(kind string, u *unstructured.Unstructured) {
	u.SetResourceVersion(strconv.Itoa(len(a.history) + 1))
	a.history = append(a.history, change{kind, u})
}

func (a *apiserver) delete(kind, name string) {
	a.do(func() {
		for _, u := range a.objects() {
			if u.GetKind() == kind && u.GetName() == name {
				a.record("DELETED", u.DeepCopy())
			}
		}
	})
}

func keyOf(u *unstructured.Unstructured) string { return u.GetKind() + "/" + u.GetName() }

// objects are those that exist, by kind and name.
func (a *apiserver) objects() map[string]*unstructured.Unstructured {
	all := map[string]*unstructured.Unstructured{}
	for _, c := range a.history {
		all[keyOf(c.object)] = c.object
		if c.kind == "DELETED" {
			delete(all, keyOf(c.object))
		}
	}
	return all
}

var testKinds = map[string]string{"pods": "Pod", "events": "Event", "pytorchjobs": "PyTorchJob", "podgroups": "PodGroup"}

// clusterWide are the lists of a cluster in which there is nothing.
var clusterWide = map[string]any{
	"/api/v1/nodes": emptyList("v1", "NodeList"),
	"/api/v1/pods":  emptyList("v1", "PodList"),
	"/apis/scheduling.x-k8s.io/v1alpha1/podgroups": emptyList("scheduling.x-k8s.io/v1alpha1", "PodGroupList"),
	"/apis/scheduling.k8s.io/v1/priorityclasses":   emptyList("scheduling.k8s.io/v1", "PriorityClassList"),
}

func emptyList(version, kind string) any {
	return map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{}, "items": []any{}}
}

func (a *apiserver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// …/namespaces/NAMESPACE/RESOURCE[/NAME[/log]]
	_, path, ok := strings.Cut(r.URL.Path, "/namespaces/team-a/")
	parts := strings.Split(path, "/")
	kind := testKinds[parts[0]]
	query := r.URL.Query()
	switch {
	case a.refused(r):
		a.fail(w, http.StatusForbidden, metav1.StatusReasonForbidden, "you may not", nil)
	case strings.HasPrefix(r.URL.Path, "/api/v1/nodes/"):
		a.get(w, "Node", filepath.Base(r.URL.Path))
	case !ok && clusterWide[r.URL.Path] != nil:
		answer(w, http.StatusOK, clusterWide[r.URL.Path])
	case !ok || kind == "":
		a.fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource", nil)
	case r.Method == http.MethodPost:
		a.create(w, r)
	case len(parts) == 3:
		a.serveLog(w, r, parts[1])
	case len(parts) == 2:
		a.get(w, kind, parts[1])
	case query.Get("watch") != "":
		a.watch(w, r, kind)
	default:
		a.list(w, r, kind)
	}
}

func (a *apiserver) refused(r *http.Request) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refuses != "" && strings.Contains(r.URL.Path, a.refuses)
}

func (a *apiserver) fail(w http.ResponseWriter, code int, reason metav1.StatusReason, message string, details *metav1.StatusDetails) {
	answer(w, code, metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
		Code: int32(code), Reason: reason, Message: message, Details: details})
}

func answer(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value)
}

func (a *apiserver) get(w http.ResponseWriter, kind, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if u := a.objects()[kind+"/"+name]; u != nil {
		answer(w, http.StatusOK, u)
		return
	}
	a.fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, kind+" "+name+" not found", &metav1.StatusDetails{Name: name})
}

func (a *apiserver) create(w http.ResponseWriter, r *http.Request) {
	u := &unstructured.Unstructured{}
	text, err := io.ReadAll(r.Body)
	if err == nil {
		err = u.UnmarshalJSON(text)
	}
	if err != nil {
		a.fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error(), nil)
		return
	}
	a.mu.Lock()
	exists := a.objects()[keyOf(u)] != nil
	a.mu.Unlock()
	if exists {
		a.fail(w, http.StatusConflict, metav1.StatusReasonAlreadyExists, "exists", &metav1.StatusDetails{Name: u.GetName()})
		return
	}
	u.SetNamespace("team-a")
	answer(w, http.StatusCreated, a.put(u))
}

// chosen is the test of a request's selectors.
func (a *apiserver) chosen(r *http.Request, kind string) func(*unstructured.Unstructured) bool {
	byLabel, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		a.t.Error(err)
	}
	byField, err := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	if err != nil {
		a.t.Error(err)
	}
	return func(u *unstructured.Unstructured) bool {
		about, _, _ := unstructured.NestedString(u.Object, "involvedObject", "name")
		return u.GetKind() == kind && byLabel.Matches(labels.Set(u.GetLabels())) &&
			byField.Matches(fields.Set{"metadata.name": u.GetName(), "involvedObject.name": about})
	}
}

func (a *apiserver) list(w http.ResponseWriter, r *http.Request, kind string) {
	chosen := a.chosen(r, kind)
	a.mu.Lock()
	defer a.mu.Unlock()
	items := []any{}
	for _, key := range sortedKeys(a.objects()) {
		if u := a.objects()[key]; chosen(u) {
			items = append(items, u.Object)
		}
	}
	answer(w, http.StatusOK, map[string]any{"kind": kind + "List", "apiVersion": "v1",
		"metadata": map[string]any{"resourceVersion": strconv.Itoa(len(a.history))}, "items": items})
}

// watch sends what happened after the given version; asked for a list in the form of a
// watch it says that it cannot do that, as older apiservers do.
func (a *apiserver) watch(w http.ResponseWriter, r *http.Request, kind string) {
	if r.URL.Query().Get("sendInitialEvents") != "" {
		a.fail(w, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "sendInitialEvents: forbidden", nil)
		return
	}
	at, err := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if err != nil {
		a.t.Errorf("watch from %q", r.URL.Query().Get("resourceVersion"))
	}
	chosen := a.chosen(r, kind)
	a.do(func() { a.watches++ })
	w.Header().Set("Content-Type", "application/json")
	a.each(r.Context(), w, func() (done bool) {
		for ; at < len(a.history); at++ {
			if c := a.history[at]; chosen(c.object) {
				_ = json.NewEncoder(w).Encode(map[string]any{"type": c.kind, "object": c.object.Object})
			}
		}
		return false
	})
}

// each calls send now and after each change, until it is done or nobody listens.
func (a *apiserver) each(ctx context.Context, w http.ResponseWriter, send func() (done bool)) {
	for {
		a.mu.Lock()
		done, changed := send(), a.changed
		a.mu.Unlock()
		w.(http.Flusher).Flush()
		if done {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func (a *apiserver) serveLog(w http.ResponseWriter, r *http.Request, pod string) {
	query := r.URL.Query()
	name := pod
	if query.Get("previous") == "true" {
		name += "/previous"
	}
	a.mu.Lock()
	log := a.logs[name]
	asked := query
	asked.Del("container")
	a.asked = append(a.asked, name+"?"+asked.Encode())
	a.mu.Unlock()
	if log == nil {
		a.fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "no log of "+name, nil)
		return
	}
	next, broken := 0, -1
	since, _ := time.Parse(time.RFC3339, query.Get("sinceTime"))
	w.WriteHeader(http.StatusOK)
	a.each(r.Context(), w, func() bool {
		if broken < 0 {
			broken = log.broken
			if tail, err := strconv.Atoi(query.Get("tailLines")); err == nil {
				next = max(0, len(log.lines)-tail)
			}
		}
		for ; next < len(log.lines); next++ {
			at := logStart.Add(time.Duration(next) * time.Second)
			if at.Before(since) {
				continue
			}
			if query.Get("timestamps") == "true" {
				fmt.Fprint(w, at.Format(time.RFC3339Nano), " ")
			}
			fmt.Fprintln(w, log.lines[next])
		}
		return log.ended || log.broken > broken || query.Get("follow") != "true"
	})
}

// jobPod is a pod of job "mnist" in a state: empty, Pending; else Running or Terminated.
func jobPod(role string, index, restarts int, state string) *corev1.Pod {
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("mnist-%s-%d", role, index), Namespace: "team-a", Labels: map[string]string{
			jobNameLabel: "mnist", roleLabel: role, "training.kubeflow.org/replica-index": strconv.Itoa(index),
		}},
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: "pytorch"}}, InitContainers: []corev1.Container{{Name: "init-pytorch"}}},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	}
	status := corev1.ContainerStatus{Name: "pytorch", RestartCount: int32(restarts)}
	switch state {
	case "":
		return pod
	case "Running":
		pod.Status.Phase, status.State.Running = corev1.PodRunning, &corev1.ContainerStateRunning{}
	case "Succeeded":
		pod.Status.Phase, status.State.Terminated = corev1.PodSucceeded, &corev1.ContainerStateTerminated{}
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{status}
	return pod
}
