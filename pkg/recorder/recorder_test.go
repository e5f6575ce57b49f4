package recorder_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/invariants"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/recorder"
)

// scene is a cluster that is recorded.
type scene struct {
	*testing.T
	client  *fake.Clientset
	watched chan struct{} // a value for each watch of pods that has begun
	events  chan invariants.Event
	notes   []string
	opts    recorder.Options
}

func newScene(t *testing.T, objects ...runtime.Object) *scene {
	s := &scene{T: t, client: fake.NewSimpleClientset(objects...), watched: make(chan struct{}, 100), events: make(chan invariants.Event, 100)}
	s.client.PrependWatchReactor("pods", func(action clienttesting.Action) (bool, watch.Interface, error) {
		w, err := s.client.Tracker().Watch(action.GetResource(), action.GetNamespace())
		s.watched <- struct{}{}
		return true, w, err
	})
	kinds := map[schema.GroupVersionResource]string{
		kube.PodGroups: "PodGroupList", kube.ElasticQuotas: "ElasticQuotaList", lockstepv1alpha1.Queues: "QueueList",
		kubeflowv1.GroupVersion.WithResource(kubeflowv1.Plural): "PyTorchJobList",
	}
	s.opts = recorder.Options{
		Client: s.client, Dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds),
		Vocabulary: cluster.NewVocabulary(), Note: func(note string) { s.notes = append(s.notes, note) },
	}
	return s
}

// record begins; what was there has been handed out when it returns.
func (s *scene) record() error {
	ctx, cancel := context.WithCancel(context.Background())
	s.Cleanup(cancel)
	_, err := recorder.Record(ctx, s.opts, func(e invariants.Event) { s.events <- e })
	return err
}

// refuse makes the apiserver refuse lists of a kind of objects.
func (s *scene) refuse(resource string, err error) {
	s.client.PrependReactor("list", resource, func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, err })
}

// next are the next events, in words.
func (s *scene) next(n int) []string {
	s.Helper()
	said := make([]string, n)
	for i := range said {
		said[i] = words(<-s.events)
	}
	return said
}

func words(e invariants.Event) string {
	said := ""
	switch {
	case e.Synced:
		return "all is listed"
	case e.Node != nil:
		said = "node " + e.Node.Name
	case e.Pod != nil:
		said = fmt.Sprintf("pod %s on %q", e.Pod.UID, e.Pod.Node)
	case e.Lease != nil:
		said = "lease of " + e.Lease.Holder
	default:
		return fmt.Sprintf("%+v", e)
	}
	if e.Listed {
		said += ", listed"
	}
	if e.Gone {
		said += ", gone"
	}
	return said
}

func (s *scene) want(want ...string) {
	s.Helper()
	if got := s.next(len(want)); !slices.Equal(got, want) {
		s.Fatalf("the history goes on with\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func pod(uid, node, version string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "worker-0", UID: types.UID(uid), ResourceVersion: version},
		Spec:       corev1.PodSpec{NodeName: node},
	}
}

// A history begins with what is there, says when that is complete, and goes on with every
// change, once: what a watch tells again is left out. A pod that was deleted and made anew
// under its name between two looks is two pods.
func TestHistory(t *testing.T) {
	s := newScene(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, pod("u1", "", "1"))
	if err := s.record(); err != nil {
		t.Fatal(err)
	}
	s.want("node n1, listed", `pod u1 on "", listed`, "all is listed")
	<-s.watched // what changes between the list and the watch, the fake does not tell

	change := func(p *corev1.Pod) {
		t.Helper()
		if err := s.client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), p, p.Namespace); err != nil {
			t.Fatal(err)
		}
	}
	change(pod("u1", "n1", "2"))
	s.want(`pod u1 on "n1"`)
	change(pod("u1", "n1", "2"))
	change(pod("u2", "", "4"))
	s.want(`pod u1 on "n1", gone`, `pod u2 on ""`)
	if err := s.client.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), "team", "worker-0"); err != nil {
		t.Fatal(err)
	}
	s.want(`pod u2 on "", gone`)
}

// Of all leases the scheduler's alone is recorded: the shipped one where none is named.
func TestLeaseOfTheScheduler(t *testing.T) {
	holder := "scheduler-1"
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "lockstep-system", Name: "lockstep-scheduler"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder},
	}
	s := newScene(t, lease)
	if err := s.record(); err != nil {
		t.Fatal(err)
	}
	s.want("lease of scheduler-1, listed", "all is listed")
}

// What may not be read is said, with what is not judged for that; without nodes, pods or
// pod groups there is no history.
func TestWhatMayNotBeRead(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, "", nil)
	s := newScene(t)
	s.refuse("leases", forbidden)
	s.refuse("events", forbidden)
	if err := s.record(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"you may not list events: what the scheduler tells is not compared with what it does (S3, S4, L3)",
		"you may not list leases of namespace lockstep-system: S5 is not judged",
	}
	if !slices.Equal(s.notes, want) {
		t.Errorf("said %q, want %q", s.notes, want)
	}

	s = newScene(t)
	s.refuse("pods", forbidden)
	if err := s.record(); err == nil || !strings.Contains(err.Error(), "list pods") || !apierrors.IsForbidden(err) {
		t.Errorf("without the right to list pods: %v", err)
	}
}
