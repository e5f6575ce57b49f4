package integration

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// queue makes a Queue for the test's namespace, named after it, and returns its name.
func (w *world) queue(name, guaranteed, limit string) string {
	w.t.Helper()
	return w.queueOf("", name, guaranteed, limit)
}

// queueOf creates a queue for GPUs of a type.
func (w *world) queueOf(model, name, guaranteed, limit string) string {
	w.t.Helper()
	gpus := lockstepv1alpha1.QueueResource{Name: "nvidia.com/gpu", Model: model}
	for _, amount := range []struct {
		text string
		into **resource.Quantity
	}{{guaranteed, &gpus.Guaranteed}, {limit, &gpus.Cap}} {
		if amount.text != "" {
			*amount.into = new(resource.MustParse(amount.text))
		}
	}
	queue := &lockstepv1alpha1.Queue{
		TypeMeta:   metav1.TypeMeta{APIVersion: lockstepv1alpha1.GroupVersion.String(), Kind: lockstepv1alpha1.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace + "-" + name},
		Spec:       lockstepv1alpha1.QueueSpec{Namespaces: []string{w.namespace}, Resources: []lockstepv1alpha1.QueueResource{gpus}},
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(queue)
	w.must(err)
	_, err = env.dynamic.Resource(lockstepv1alpha1.Queues).Create(w.ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{})
	w.must(err)
	w.t.Cleanup(func() {
		_ = env.dynamic.Resource(lockstepv1alpha1.Queues).Delete(w.ctx, queue.Name, metav1.DeleteOptions{})
	})
	return queue.Name
}

// createIn creates a gang in a queue.
func (w *world) createIn(queue string, g gangSpec) {
	w.t.Helper()
	g.labels = map[string]string{kube.QueueLabel: queue}
	w.create(g)
}

// A queue ends at its cap although there is room; what it has borrowed goes back to the
// queue that is guaranteed it, from the gang that started last.
func TestQueues(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 3)
	lender, borrower := w.queue("lender", "8", ""), w.queue("borrower", "8", "24")
	for i := range 3 {
		name := fmt.Sprintf("borrows-%d", i)
		w.createIn(borrower, gangOf(name, 1, "8"))
		w.awaitPlaced(name, 1)
	}
	w.createIn(borrower, gangOf("above", 1, "8"))
	w.awaitSays("above", "QuotaExceeded", "queue "+borrower+" may hold 24 nvidia.com/gpu at most")

	w.createIn(lender, gangOf("owner", 1, "8"))
	w.awaitPlaced("owner", 1)
	kept := 0
	for i := range 3 {
		kept += len(w.placed(fmt.Sprintf("borrows-%d", i)))
	}
	if kept != 2 {
		t.Errorf("%d of 3 borrowing gangs are left, want 2", kept)
	}

	missing := w.namespace + "-late"
	w.createIn(missing, gangOf("lost", 1, "1"))
	w.awaitSays("lost", "QueueNotFound", `metadata.labels[`+kube.QueueLabel+`]: Not found: "`+missing+`"`)
	w.queue("late", "", "")
	w.awaitReason("lost", "DoesNotFit")
}

// What a queue is guaranteed is given back also where there is room, but its siblings have
// filled the cap above them; and they keep below the cap, although there is room.
func TestBelowTheCap(t *testing.T) {
	for name, model := range map[string]string{"any": "", "type": "A100"} {
		t.Run(name, func(t *testing.T) { testBelowTheCap(t, model) })
	}
}

// The gangs name no type of GPU: that of all nodes that may run them counts.
func testBelowTheCap(t *testing.T, model string) {
	w := newWorld(t, fakenodes.Shape{Labels: map[string]string{kube.ModelLabel: model}}, 3)
	above, owner, borrower := w.queueOf(model, "above", "16", "16"), w.queueOf(model, "owner", "8", ""), w.queueOf(model, "borrower", "8", "")
	for _, part := range []string{owner, borrower} {
		_, err := env.dynamic.Resource(lockstepv1alpha1.Queues).Patch(w.ctx, part, types.MergePatchType, fmt.Appendf(nil, `{"spec":{"parent":%q}}`, above), metav1.PatchOptions{})
		w.must(err)
	}
	for i := range 2 {
		name := fmt.Sprintf("borrows-%d", i)
		w.createIn(borrower, gangOf(name, 1, "8"))
		w.awaitPlaced(name, 1)
	}
	w.createIn(borrower, gangOf("waits", 1, "8"))
	capped := "queue " + above + " may hold 16 nvidia.com/gpu at most: it holds 16"
	if model != "" {
		capped = "queue " + above + " may hold 16 nvidia.com/gpu of type " + model + " at most: it holds 16"
	}
	w.awaitSays("waits", "QuotaExceeded", capped)

	w.createIn(owner, gangOf("owns", 1, "8"))
	w.awaitPlaced("owns", 1)
	w.await("one of the borrowers to go", func() (bool, string) {
		left := len(w.placed("borrows-0")) + len(w.placed("borrows-1"))
		return left == 1, fmt.Sprintf("%d are left", left)
	})
	if n := len(w.placed("waits")); n > 0 {
		t.Errorf("%d pods of the borrowing gang took what came free below the cap", n)
	}
	w.awaitSays("waits", "QuotaExceeded", capped)
}

// What is wrong with a queue is said on the queue, and taken back once it is mended.
func TestFaultyQueues(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 0)
	parent, part := w.queue("parent", "8", ""), w.queue("part", "16", "")
	queues := env.dynamic.Resource(lockstepv1alpha1.Queues)
	change := func(name, patch string) {
		t.Helper()
		_, err := queues.Patch(w.ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		w.must(err)
	}
	valid := func(name, status string, parts ...string) {
		t.Helper()
		w.await(name+" to be Valid="+status, func() (bool, string) {
			object, err := queues.Get(w.ctx, name, metav1.GetOptions{})
			w.must(err)
			queue := &lockstepv1alpha1.Queue{}
			w.must(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, queue))
			c := meta.FindStatusCondition(queue.Status.Conditions, kube.ValidCondition)
			if c == nil {
				return false, "no condition"
			}
			for _, part := range parts {
				if !strings.Contains(c.Message, part) {
					return false, c.Message
				}
			}
			return string(c.Status) == status, fmt.Sprintf("%s: %s", c.Status, c.Message)
		})
	}
	valid(parent, "True", "the queue counts as it is written")

	change(part, fmt.Sprintf(`{"spec":{"parent":%q}}`, parent))
	more := fmt.Sprintf("spec.resources[nvidia.com/gpu].guaranteed: its parts (%s) together are guaranteed more than it is itself; they get back no more than that", part)
	valid(parent, "False", more)
	w.await("an event on the queue", func() (bool, string) {
		list, err := env.client.CoreV1().Events(metav1.NamespaceDefault).List(w.ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + parent})
		w.must(err)
		for i := range list.Items {
			if e := &list.Items[i]; e.Reason == "QueueFaulty" && e.InvolvedObject.Kind == lockstepv1alpha1.Kind && strings.Contains(e.Message, more) {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%d events", len(list.Items))
	})

	change(part, `{"spec":{"parent":"nowhere"}}`)
	valid(part, "False", "spec.parent: there is no queue nowhere; it is taken for a part of the cluster")
	valid(parent, "True")

	change(part, fmt.Sprintf(`{"spec":{"parent":%q}}`, parent))
	change(parent, fmt.Sprintf(`{"spec":{"parent":%q}}`, part))
	w.await("a queue that is a part of itself", func() (bool, string) {
		said := ""
		for _, name := range []string{parent, part} {
			object, err := queues.Get(w.ctx, name, metav1.GetOptions{})
			w.must(err)
			conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
			said += fmt.Sprint(conditions)
		}
		return strings.Contains(said, "is a part of "), said
	})

	change(parent, `{"spec":{"parent":null}}`)
	change(part, `{"spec":{"parent":null}}`)
	valid(parent, "True")
	valid(part, "True")
}
