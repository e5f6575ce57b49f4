package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"lockstep.dev/lockstep/manifests"
	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// priority makes a PriorityClass and returns its name.
func (w *world) priority(value int32) string {
	w.t.Helper()
	name := fmt.Sprintf("%s-%d", w.namespace, value)
	w.must(env.cluster.AddPriorityClass(w.ctx, name, value))
	w.t.Cleanup(func() {
		_ = env.client.SchedulingV1().PriorityClasses().Delete(w.ctx, name, metav1.DeleteOptions{})
	})
	return name
}

func (g gangSpec) withPriority(class string) gangSpec {
	g.members = slices.Clone(g.members)
	for i := range g.members {
		g.members[i].priority = class
	}
	return g
}

// lingering pods do not go before linger takes the finalizer away.
func (g gangSpec) lingering() gangSpec {
	g.members = slices.Clone(g.members)
	for i := range g.members {
		g.members[i].change = func(pod *v1.Pod) { pod.Finalizers = []string{"integration.lockstep.dev/linger"} }
	}
	return g
}

// leave lets the lingering pods of a gang go.
func (w *world) leave(name string) {
	w.t.Helper()
	list, err := env.client.CoreV1().Pods(w.namespace).List(w.ctx, metav1.ListOptions{LabelSelector: kube.PodGroupLabel + "=" + name})
	w.must(err)
	for i := range list.Items {
		_, err := env.client.CoreV1().Pods(w.namespace).Patch(w.ctx, list.Items[i].Name, types.MergePatchType,
			[]byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		w.must(err)
	}
}

// reservation returns the kind and the nodes of what is reserved for a gang.
func (w *world) reservation(name string) (kind string, nodes []string) {
	w.t.Helper()
	pg, err := env.dynamic.Resource(kube.PodGroups).Namespace(w.namespace).Get(w.ctx, name, metav1.GetOptions{})
	w.must(err)
	kind, _, _ = unstructured.NestedString(pg.Object, "status", "reservation", "kind")
	list, _, _ := unstructured.NestedSlice(pg.Object, "status", "reservation", "nodes")
	for _, o := range list {
		if node, ok := o.(map[string]any); ok {
			nodes = append(nodes, fmt.Sprint(node["name"]))
		}
	}
	return kind, nodes
}

func (w *world) awaitReservation(name, kind string) (nodes []string) {
	w.t.Helper()
	w.await(fmt.Sprintf("reservation %q for %s", kind, name), func() (bool, string) {
		var got string
		got, nodes = w.reservation(name)
		return got == kind, fmt.Sprintf("%q on %v", got, nodes)
	})
	return nodes
}

// evicted returns the pods that say that they were evicted, with the message.
func (w *world) evicted() map[string]string {
	w.t.Helper()
	list, err := env.client.CoreV1().Pods(w.namespace).List(w.ctx, metav1.ListOptions{})
	w.must(err)
	found := map[string]string{}
	for _, pod := range list.Items {
		for _, c := range pod.Status.Conditions {
			if c.Type == v1.DisruptionTarget && c.Status == v1.ConditionTrue {
				found[pod.Name] = c.Reason + ": " + c.Message
			}
		}
	}
	return found
}

// The cheapest victims go, as a whole gang, for a reason that stands on them; their
// room is kept for the gang that needs it while they take their time, also over a
// restart of the scheduler.
func TestGangPreempts(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 3)
	low, high := w.priority(1), w.priority(1000)
	w.create(gangOf("pair", 2, "8").withPriority(low).lingering())
	w.awaitPlaced("pair", 2)
	w.create(gangOf("one", 1, "8").withPriority(low).lingering())
	w.awaitPlaced("one", 1)

	w.create(gangOf("urgent", 2, "8").withPriority(high))
	nodes := w.awaitReservation("urgent", "Preempting")
	if len(nodes) != 2 {
		t.Errorf("%d nodes are reserved for urgent, want 2: %v", len(nodes), nodes)
	}
	w.await("the eviction of pair", func() (bool, string) {
		gone := w.evicted()
		return len(gone) == 2, fmt.Sprint(gone)
	})
	for pod, why := range w.evicted() {
		if !strings.HasPrefix(pod, "pair-") {
			t.Errorf("%s was evicted: %s; want pair, whose end is enough", pod, why)
		}
		for _, word := range []string{"PreemptedByGang", w.namespace + "/urgent", w.namespace + "/pair", "priority 1000", "priority 1 "} {
			if !strings.Contains(why, word) {
				t.Errorf("%s was evicted: %s; want it to say %q", pod, why, word)
			}
		}
	}

	// Room for one comes free elsewhere and is for anybody; the reserved room is not.
	env.cluster.Scheduler().Kill()
	if _, err := env.cluster.StartScheduler(w.ctx, devcluster.ProgramOptions{}); err != nil {
		t.Fatal(err)
	}
	w.create(gangOf("sneak", 1, "8").withPriority(low))
	w.awaitReason("sneak", "DoesNotFit")
	w.leave("pair")
	w.awaitPlaced("urgent", 2)
	w.awaitReason("urgent", "Placed")
	if kind, _ := w.reservation("urgent"); kind != "" {
		t.Errorf("urgent is placed and has a reservation, %s", kind)
	}
	if got := w.placed("sneak"); len(got) > 0 {
		t.Errorf("sneak, of lower priority, took reserved room: %v", got)
	}
	if got := w.placed("one"); len(got) != 1 {
		t.Errorf("one was ended needlessly: %v", got)
	}
}

// reserveSoon is the shipped configuration with a reservation after a second.
func reserveSoon(t *testing.T) []byte {
	t.Helper()
	return configWith(t, "reserveAfterSeconds: 1")
}

// configWith is the shipped configuration with one more of the plugin's arguments.
func configWith(t *testing.T, argument string) []byte {
	t.Helper()
	text, err := manifests.Files.ReadFile("scheduler/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	with := strings.Replace(string(text), "kind: LockstepArgs", "kind: LockstepArgs\n          "+argument, 1)
	if with == string(text) {
		t.Fatal("the shipped configuration has changed its form")
	}
	return []byte(with)
}

// awaitDrain fills two nodes with four small gangs, and has both reserved for a large one.
func (w *world) awaitDrain() (running, nodes []string) {
	w.t.Helper()
	running = []string{"s0", "s1", "s2", "s3"}
	for _, name := range running {
		w.create(gangOf(name, 1, "4"))
	}
	for _, name := range running {
		w.awaitPlaced(name, 1)
	}
	w.create(gangOf("large", 2, "8"))
	if nodes = w.awaitReservation("large", "Draining"); len(nodes) != 2 {
		w.t.Fatalf("reserved on %v, want both nodes", nodes)
	}
	return running, nodes
}

// A large gang starts although small jobs never stop coming: once it has waited, room
// is kept for it. Small jobs that end in time pass meanwhile.
func TestLargeGangIsNotStarved(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	w.withScheduler(devcluster.ProgramOptions{Config: reserveSoon(t)})
	running, _ := w.awaitDrain()
	// One ends and others come: they have to wait, but for the one that ends in time.
	w.create(gangOf("more", 1, "4"))
	w.deleteGang("s0")
	message := ""
	w.await("the reason why more waits", func() (bool, string) {
		_, message = w.condition("more")
		return strings.Contains(message, "reserved for "+w.namespace+"/large"), message
	})
	if got := w.placed("more"); len(got) > 0 {
		t.Fatalf("more took reserved room: %v", got)
	}
	for _, name := range running[1:] {
		w.deleteGang(name)
	}
	w.awaitPlaced("large", 2)
	w.deleteGang("large")
	w.awaitPlaced("more", 1)
}

// A scheduler that dies while a gang waits for reserved room leaves it to the next one, which keeps the
// room although somebody else came first while there was none.
func TestReservationOutlastsItsScheduler(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	w.withScheduler(devcluster.ProgramOptions{Config: reserveSoon(t)})
	running, before := w.awaitDrain()

	env.cluster.Scheduler().Kill()
	w.deleteGang("s0")
	w.create(gangOf("more", 1, "4"))
	w.withScheduler(devcluster.ProgramOptions{}) // which would reserve nothing before ten minutes
	message := ""
	w.await("the reason why more waits", func() (bool, string) {
		_, message = w.condition("more")
		return strings.Contains(message, "reserved for "+w.namespace+"/large"), message
	})
	if after := w.awaitReservation("large", "Draining"); !slices.Equal(after, before) {
		t.Errorf("reserved on %v, and by the scheduler before on %v", after, before)
	}
	for _, name := range running[1:] {
		w.deleteGang(name)
	}
	w.awaitPlaced("large", 2)
	if got := w.placed("more"); len(got) > 0 {
		t.Errorf("more took reserved room: %v", got)
	}
	w.deleteGang("large")
	w.awaitPlaced("more", 1)
}
