package controller

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
	"sigs.k8s.io/yaml"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// world is a job and its objects in memory: it carries plans out as a cluster would
// that answers at once, and the test plays kubelet and user.
type world struct {
	t testing.TB
	Observed
	settings Settings
	page     page
	uids     int
	last     Plan
	// heard are all events, in order; news are those of the last look.
	heard, news []Event
	// crashAfter ends the next look after so many writes.
	crashAfter int
	// lingers: pods that run stay for their notice when they are deleted; ours are those.
	lingers bool
	ours    map[types.UID]bool
	// writes counts objects created, patched and deleted, and statuses written.
	writes int
}

func newWorld(t testing.TB, job *v1.PyTorchJob) *world {
	t.Helper()
	job = job.DeepCopy()
	job.UID = "00000000-0000-0000-0000-000000000001"
	job.ResourceVersion = "1"
	return &world{
		t:        t,
		Observed: Observed{Job: job, Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		settings: DefaultSettings(),
		ours:     map[types.UID]bool{},
	}
}

// parseJob reads a job; Master and Worker templates are filled in where they are missing.
func parseJob(t testing.TB, text string) *v1.PyTorchJob {
	t.Helper()
	job := &v1.PyTorchJob{}
	if err := yaml.UnmarshalStrict([]byte(text), job); err != nil {
		t.Fatal(err)
	}
	if job.Name == "" {
		job.Name = "job"
	}
	job.Namespace = "team"
	for _, replicas := range job.Spec.PyTorchReplicaSpecs {
		if len(replicas.Template.Spec.Containers) == 0 {
			replicas.Template.Spec.Containers = []corev1.Container{{Name: v1.ContainerName, Image: "train:1"}}
		}
	}
	return job
}

// look decides once, a moment later, and carries the plan out.
func (w *world) look() *world {
	w.t.Helper()
	w.Now = w.Now.Add(2 * time.Second)
	return w.lookNow()
}

func (w *world) lookNow() *world {
	w.t.Helper()
	w.Failed = w.page.failures(w.Pods, w.Now)
	before := w.Observed
	job := w.Job.DeepCopy()
	w.last = Decide(w.Observed, w.settings)
	if !equality.Semantic.DeepEqual(job, before.Job) {
		w.t.Fatal("Decide wrote to the job")
	}
	if again := Decide(w.Observed, w.settings); !reflect.DeepEqual(again, w.last) {
		w.t.Fatalf("two decisions on the same differ:\n%+v\n%+v", w.last, again)
	}
	if w.crashAfter > 0 {
		w.crash()
	}
	w.news = nil
	w.Gone, w.First = nil, false
	if w.last.Status != nil {
		w.writes++
		w.Job = w.Job.DeepCopy()
		w.Job.Status = *w.last.Status
		w.checkStatus()
	}
	w.news = append(w.news, w.last.Events...)
	w.delete()
	for _, patch := range w.last.Patch {
		w.writes++
		switch object := patch.To.(type) {
		case *scheduling.PodGroup:
			w.PodGroup = object
		case *autoscalingv2.HorizontalPodAutoscaler:
			w.HPA = object
		}
	}
	w.create()
	w.heard = append(w.heard, w.news...)
	return w
}

// crash cuts the plan off, as if the controller had died after some writes.
func (w *world) crash() {
	left := w.crashAfter
	w.crashAfter = 0
	if w.last.Status != nil {
		left--
	}
	cut := func(n int) int {
		kept := max(0, min(n, left))
		left -= kept
		return kept
	}
	w.last.Delete = w.last.Delete[:cut(len(w.last.Delete))]
	w.last.Patch = w.last.Patch[:cut(len(w.last.Patch))]
	w.last.Create = w.last.Create[:cut(len(w.last.Create))]
}

// rest looks until nothing changes any more.
func (w *world) rest() *world {
	w.t.Helper()
	for range 20 {
		before := w.writes
		w.look()
		if w.writes == before {
			return w
		}
	}
	w.t.Fatalf("no rest after 20 decisions; the last plan: %+v", w.last)
	return w
}

// checkStatus holds for every status of every job.
func (w *world) checkStatus() {
	w.t.Helper()
	conditions := w.Job.Status.Conditions
	if len(conditions) == 0 || conditions[len(conditions)-1].Status != corev1.ConditionTrue {
		w.t.Errorf("the last condition is not the current state: %+v", conditions)
	}
	if isTrue(&w.Job.Status, v1.JobSucceeded) && isTrue(&w.Job.Status, v1.JobFailed) {
		w.t.Errorf("succeeded and failed: %+v", conditions)
	}
	if finished(&w.Job.Status) != (w.Job.Status.CompletionTime != nil) {
		w.t.Errorf("finished without a completion time, or the reverse: %+v", w.Job.Status)
	}
	for role, counts := range w.Job.Status.ReplicaStatuses {
		if counts.Selector == "" {
			w.t.Errorf("%s has no selector", role)
		}
	}
}

func (w *world) delete() {
	done := map[string][]string{}
	for _, deletion := range w.last.Delete {
		w.writes++
		kind := kindOf(deletion.Object)
		done[kind] = append(done[kind], deletion.Object.GetName())
		switch object := deletion.Object.(type) {
		case *corev1.Pod:
			if w.lingers && object.Status.Phase != corev1.PodPending {
				w.terminate(strings.TrimPrefix(object.Name, w.Job.Name+"-"), 60)
				w.ours[object.UID] = true
				continue
			}
			w.Pods = without(w.Pods, object)
		case *corev1.Service:
			w.Services = without(w.Services, object)
		case *scheduling.PodGroup:
			w.PodGroup = nil
		case *autoscalingv2.HorizontalPodAutoscaler:
			w.HPA = nil
		case *unstructured.Unstructured:
			w.Requests = without(w.Requests, object)
		case *corev1.PodTemplate:
			w.Templates = without(w.Templates, object)
		}
	}
	w.news = append(w.news, manyEvents("SuccessfulDelete", "Deleted", done)...)
}

func (w *world) create() {
	done := map[string][]string{}
	for _, object := range w.last.Create {
		w.writes++
		w.uids++
		object = object.DeepCopyObject().(client.Object)
		object.SetUID(types.UID(fmt.Sprintf("uid-%d", w.uids)))
		kind := kindOf(object)
		done[kind] = append(done[kind], object.GetName())
		switch object := object.(type) {
		case *corev1.Pod:
			if w.find(object.Name) != nil {
				w.t.Errorf("pod %s is created twice", object.Name)
			}
			object.Status.Phase = corev1.PodPending
			w.Pods = append(w.Pods, object)
		case *corev1.Service:
			w.Services = append(w.Services, object)
		case *scheduling.PodGroup:
			w.PodGroup = object
		case *autoscalingv2.HorizontalPodAutoscaler:
			w.HPA = object
		case *unstructured.Unstructured:
			w.Requests = append(w.Requests, object)
		case *corev1.PodTemplate:
			w.Templates = append(w.Templates, object)
		}
	}
	w.news = append(w.news, manyEvents("SuccessfulCreate", "Created", done)...)
}

func without[T client.Object](objects []T, gone client.Object) []T {
	return slices.DeleteFunc(slices.Clone(objects), func(o T) bool { return o.GetUID() == gone.GetUID() })
}

// find returns the pod of a short name such as worker-1, or of its whole name.
func (w *world) find(name string) *corev1.Pod {
	for _, pod := range w.Pods {
		if pod.Name == name || pod.Name == w.Job.Name+"-"+name {
			return pod
		}
	}
	return nil
}

// change edits a pod as its kubelet would.
func (w *world) change(name string, edit func(*corev1.Pod)) *world {
	w.t.Helper()
	for i, pod := range w.Pods {
		if pod.Name == w.Job.Name+"-"+name {
			pod = pod.DeepCopy()
			edit(pod)
			w.Pods[i] = pod
			return w
		}
	}
	w.t.Fatalf("there is no pod %s; pods: %s", name, w.pods())
	return w
}

// run has pods running; without names: all.
func (w *world) run(names ...string) *world {
	if len(names) == 0 {
		for _, pod := range w.Pods {
			names = append(names, strings.TrimPrefix(pod.Name, w.Job.Name+"-"))
		}
	}
	for _, name := range names {
		w.change(name, func(pod *corev1.Pod) {
			if !ended(pod) {
				pod.Status.Phase = corev1.PodRunning
			}
		})
	}
	return w
}

// exit ends the program of a pod that is not restarted in place.
func (w *world) exit(name string, code int32) *world { return w.exitAt(name, code, w.Now) }

func (w *world) exitAt(name string, code int32, at time.Time) *world {
	w.t.Helper()
	return w.change(name, func(pod *corev1.Pod) {
		pod.Status.Phase = corev1.PodSucceeded
		if code != 0 {
			pod.Status.Phase = corev1.PodFailed
		}
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: v1.ContainerName, State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: metav1.NewTime(at)},
		}}}
	})
}

// restart has the kubelet restart the program in place.
func (w *world) restart(name string, code int32) *world {
	w.t.Helper()
	return w.change(name, func(pod *corev1.Pod) {
		n := restartsOf(pod)
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: v1.ContainerName, RestartCount: n + 1,
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: code, FinishedAt: metav1.NewTime(w.Now), StartedAt: metav1.NewTime(w.Now.Add(-time.Second)),
			}}}}
	})
}

// terminate begins the deletion of a pod by somebody else.
func (w *world) terminate(name string, grace int64) *world {
	w.t.Helper()
	return w.change(name, func(pod *corev1.Pod) {
		until := metav1.NewTime(w.Now.Add(time.Duration(grace) * time.Second))
		pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &until, &grace
	})
}

// vanish completes the deletion of a pod by somebody else.
func (w *world) vanish(name string) *world {
	w.t.Helper()
	pod := w.find(name)
	if pod == nil {
		w.t.Fatalf("there is no pod %s", name)
	}
	w.Pods = without(w.Pods, pod)
	if !w.ours[pod.UID] {
		w.Gone = append(w.Gone, pod)
	}
	return w
}

// edit changes the job as its user would.
func (w *world) edit(edit func(*v1.PyTorchJob)) *world {
	w.Job = w.Job.DeepCopy()
	edit(w.Job)
	w.Job.Generation++
	return w
}

func (w *world) wait(d time.Duration) *world {
	w.Now = w.Now.Add(d)
	return w
}

// state is the printer column.
func (w *world) state() string {
	conditions := w.Job.Status.Conditions
	if len(conditions) == 0 {
		return ""
	}
	return string(conditions[len(conditions)-1].Type)
}

func (w *world) pods() string {
	var names []string
	for _, pod := range w.Pods {
		names = append(names, strings.TrimPrefix(pod.Name, w.Job.Name+"-"))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func (w *world) services() string {
	var names []string
	for _, service := range w.Services {
		names = append(names, strings.TrimPrefix(service.Name, w.Job.Name+"-"))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// told counts the events of a reason so far.
func (w *world) told(reason string) int {
	n := 0
	for _, event := range w.heard {
		if event.Reason == reason {
			n++
		}
	}
	return n
}

func (w *world) restarts() int32 {
	if w.Job.Status.Progress == nil {
		return 0
	}
	return w.Job.Status.Progress.Restarts
}

func (w *world) wantState(want string) *world {
	w.t.Helper()
	if got := w.state(); got != want {
		w.t.Errorf("state is %q, want %q; conditions: %+v", got, want, w.Job.Status.Conditions)
	}
	return w
}

func (w *world) wantPods(want string) *world {
	w.t.Helper()
	if got := w.pods(); got != want {
		w.t.Errorf("pods are %q, want %q", got, want)
	}
	return w
}
