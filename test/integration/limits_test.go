package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// Where a budget forbids it nobody is evicted, the gang that waits says that only
// budgets are in its way, and it has its place once the budget is gone.
func TestBudgetThatForbidsEveryEviction(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	low, high := w.priority(1), w.priority(1000)
	all := intstr.FromString("100%")
	budgets := env.client.PolicyV1().PodDisruptionBudgets(w.namespace)
	_, err := budgets.Create(w.ctx, &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "all"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: &all, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{kube.PodGroupLabel: "guarded"}},
		},
	}, metav1.CreateOptions{})
	w.must(err)
	w.create(gangOf("guarded", 2, "8").withPriority(low))
	w.awaitPlaced("guarded", 2)

	w.create(gangOf("urgent", 1, "8").withPriority(high))
	w.await("the budgets as the reason", func() (bool, string) {
		_, message := w.condition("urgent")
		return strings.Contains(message, "PodDisruptionBudget"), message
	})
	if gone := w.evicted(); len(gone) > 0 {
		t.Fatalf("evicted in spite of the budget: %v", gone)
	}
	w.must(budgets.Delete(w.ctx, "all", metav1.DeleteOptions{}))
	w.awaitPlaced("urgent", 1)
}

// A PriorityClass that is deleted, and made again with another value, changes nothing for
// pods that have their priority from it.
func TestPriorityClassDeletedWhileInUse(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 1)
	low, high := w.priority(5), w.priority(50)
	w.create(gangOf("runs", 1, "8").withPriority(high))
	w.awaitPlaced("runs", 1)
	classes := env.client.SchedulingV1().PriorityClasses()
	class, err := classes.Get(w.ctx, high, metav1.GetOptions{})
	w.must(err)
	w.must(classes.Delete(w.ctx, high, metav1.DeleteOptions{}))
	w.create(gangOf("less", 1, "8").withPriority(low))
	w.awaitReason("less", "DoesNotFit")

	class.ObjectMeta, class.Value = metav1.ObjectMeta{Name: high}, 1
	_, err = classes.Create(w.ctx, class, metav1.CreateOptions{})
	w.must(err)
	w.create(gangOf("more", 1, "8").withPriority(w.priority(100)))
	w.awaitPlaced("more", 1)
	if got := w.placed("less"); len(got) > 0 {
		t.Errorf("less, of priority 5, is placed: %v", got)
	}
	for pod, why := range w.evicted() {
		if !strings.HasPrefix(pod, "runs-") || !strings.Contains(why, "of priority 50 ") {
			t.Errorf("%s was evicted: %s; want runs-worker-0, of priority 50", pod, why)
		}
	}
}

// A floor that is raised while the members are on their way is waited for; one that is
// lowered lets those go that are there.
func TestFloorThatChangesInTheMiddle(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	p := newProxy(t)
	reached, goOn := make(chan struct{}, 64), make(chan struct{})
	p.onBind(func(rw http.ResponseWriter, r *http.Request, forward http.Handler) {
		reached <- struct{}{}
		select {
		case <-goOn:
			forward.ServeHTTP(rw, r)
		case <-r.Context().Done():
		}
	})
	w.withScheduler(devcluster.ProgramOptions{Kubeconfig: p.kubeconfig})
	four := gangOf("grows", 4, "2")
	pods := w.pods(four)
	four.floor = 2
	w.createGroup(four)
	w.createPods(pods[:2])
	<-reached
	w.patchGroup("grows", `{"spec":{"minMember":4}}`)
	close(goOn)
	w.awaitPlaced("grows", 2)
	w.await("what it lacks", func() (bool, string) {
		_, message := w.condition("grows")
		return strings.HasPrefix(message, "2 of 4 members"), message
	})
	w.createPods(pods[2:])
	w.awaitPlaced("grows", 4)
	w.awaitReason("grows", "Placed")

	five := gangOf("shrinks", 3, "2")
	five.floor = 5
	w.create(five)
	w.awaitMessage("shrinks", "WaitingForMembers", "3 of 5 members exist")
	w.patchGroup("shrinks", `{"spec":{"minMember":3}}`)
	w.awaitPlaced("shrinks", 3)
}

// Others were evicted for a gang whose floor is then set above its pods: their room is kept
// for it all the same, and it starts there once the floor is back.
func TestReservationOutlastsAMissingMember(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	w.create(gangOf("pair", 2, "8").withPriority(w.priority(1)).lingering())
	w.awaitPlaced("pair", 2)
	w.create(gangOf("urgent", 2, "8").withPriority(w.priority(1000)))
	w.awaitReservation("urgent", "Preempting")

	w.patchGroup("urgent", `{"spec":{"minMember":3}}`)
	w.awaitMessage("urgent", "WaitingForMembers", "2 of 3 members exist")
	w.leave("pair")
	w.create(gangOf("other", 1, "8").withPriority(w.priority(5)))
	w.await("whose room it is", func() (bool, string) {
		_, message := w.condition("other")
		return strings.Contains(message, "room that is reserved for "+w.namespace+"/urgent"), message
	})
	w.patchGroup("urgent", `{"spec":{"minMember":2}}`)
	w.awaitPlaced("urgent", 2)
	if got := w.placed("other"); len(got) > 0 {
		t.Errorf("other took the room of urgent: %v", got)
	}
}

// A pod with the gang's label that is left to another scheduler counts for nothing, and
// an event says so on it and on the gang; where it runs, it runs on.
func TestOutsiderIsTold(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 1)
	g := oneOf("pair", 2, 1, func(pod *v1.Pod) { pod.Spec.SchedulerName = "other-scheduler" })
	w.create(g)
	want := "pod pair-worker-1 bears the label " + kube.PodGroupLabel +
		": pair and does not count: its schedulerName is other-scheduler; set schedulerName: lockstep, or take the label away"
	for _, about := range []string{"Pod/pair-worker-1", "PodGroup/pair"} {
		kind, name, _ := strings.Cut(about, "/")
		w.await("an event on "+about, func() (bool, string) {
			list, err := env.client.CoreV1().Events(w.namespace).List(w.ctx, metav1.ListOptions{
				FieldSelector: "involvedObject.kind=" + kind + ",involvedObject.name=" + name,
			})
			w.must(err)
			said := ""
			for _, e := range list.Items {
				said += fmt.Sprintf("%s: %s\n", e.Reason, e.Message)
			}
			return strings.Contains(said, "NotAMember: "+want), said
		})
	}
	w.must(env.client.CoreV1().Pods(w.namespace).Bind(w.ctx, &v1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "pair-worker-1"}, Target: v1.ObjectReference{Kind: "Node", Name: w.nodes[0]},
	}, metav1.CreateOptions{}))
	w.create(gangOf("next", 1, "7")) // beside it
	w.awaitPlaced("next", 1)
	w.awaitMessage("pair", "WaitingForMembers", "1 of 2 members exist; pair-worker-1 does not count: its schedulerName is other-scheduler")
}
