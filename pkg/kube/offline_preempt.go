package kube

import (
	"slices"

	v1 "k8s.io/api/core/v1"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
)

// Eviction is what goes of a gang, or of a pod without one.
type Eviction struct {
	Gang gang.Key // the pod's own namespace and name where it has no gang
	Pods []*v1.Pod
	// Whole is false for members above the floor: the gang goes on.
	Whole bool
	// Why says what gives the gang the right to that room.
	Why core.Code
}

// Outcome is what a search for victims came to.
type Outcome struct {
	Evictions []Eviction
	// Violations of disruption budgets.
	Violations int
	// Exact is true where it is known that no choice is better.
	Exact bool
	// Due is what the gang has to wait for first.
	Due core.Due
	// Patient is true where the gang has nobody evicted but who has agreed to go, and Capped
	// where a cap keeps it out even without all that may go.
	Patient, Capped bool
	// Rejection says what would be missing without all that may go; nil where the
	// gang got its place.
	Rejection *placement.Rejection
}

// Preempt lets others go for a gang that has been tried and whose floor has no place,
// and tries it again: those who go now, else those who do once it has waited. Pods that are
// being deleted are taken for gone. It is not ok where the gang has its floor, or may not be
// tried.
//
// Only pods of the listing's own scheduler are victims.
func (o *Offline) Preempt(key gang.Key) (outcome Outcome, ok bool) {
	o.letLeave()
	view := o.view
	view.Others, view.Budgets = func() []core.Occupant { return o.others(o.running) }, o.allowances
	due := core.AsItIs
	victims, ok := o.core.Victims(o.now, key, view, due)
	for ok && victims.None() && due < core.RoomReserved {
		due++
		victims, ok = o.core.Victims(o.now, key, view, due)
	}
	if !ok || victims.None() {
		return Outcome{Rejection: victims.Rejection, Capped: victims.Capped, Patient: victims.Patient}, ok
	}
	outcome = Outcome{Violations: victims.Violations, Exact: victims.Exact, Due: due}
	for _, victim := range victims.Evictions {
		eviction := Eviction{Gang: victim.Key, Whole: victim.Whole, Why: victim.Reason.Code}
		for _, uid := range victim.UIDs {
			i := slices.IndexFunc(o.running, func(pod *v1.Pod) bool { return string(pod.UID) == uid })
			eviction.Pods = append(eviction.Pods, o.running[i])
		}
		outcome.Evictions = append(outcome.Evictions, eviction)
		o.evict(eviction)
	}
	o.weigh()
	o.Try(key)
	return outcome, true
}

// takeRunning notes a pod that is on a node.
func (o *Offline) takeRunning(pod *v1.Pod) {
	if _, known := cluster.Find(o.view.Nodes, pod.Spec.NodeName); !known || ended(pod) {
		return
	}
	if pod.DeletionTimestamp != nil {
		o.leaving = append(o.leaving, pod)
	} else {
		o.running = append(o.running, pod)
	}
}

// letLeave frees what pods hold that are being deleted.
func (o *Offline) letLeave() {
	for _, pod := range o.leaving {
		o.vacate(pod)
	}
	o.left, o.leaving = append(o.left, o.leaving...), nil
	o.weigh()
}

// Left counts the pods that are still being deleted on a node, although they are taken for gone.
func (o *Offline) Left(node string) (n int) {
	for _, pod := range o.left {
		if pod.Spec.NodeName == node {
			n++
		}
	}
	return n
}

// vacate frees what a pod holds.
func (o *Offline) vacate(pod *v1.Pod) {
	i, _ := cluster.Find(o.view.Nodes, pod.Spec.NodeName)
	node := &o.view.Nodes[i]
	node.Free = node.Free.Add(Occupied(pod, o.vocabulary))
	o.view.Index.Update(i, *node)
	o.view.Epoch++
}

func (o *Offline) evict(e Eviction) {
	for _, pod := range e.Pods {
		o.vacate(pod)
		same := func(other *v1.Pod) bool { return other == pod }
		o.running = slices.DeleteFunc(o.running, same)
		if key, member := GangOf(pod); member {
			o.pods[key] = slices.DeleteFunc(o.pods[key], same)
			o.step(core.MemberGone{Key: key, UID: string(pod.UID)})
		}
	}
}

// allowances are how many pods each budget lets go, and which pods each covers.
func (o *Offline) allowances() core.Budgets {
	budgets := core.Budgets{Allowed: make([]int, len(o.budgets)), Of: map[string][]int{}}
	for i, budget := range o.budgets {
		budgets.Allowed[i] = Allowance(budget, o.running)
	}
	for _, pod := range o.running {
		budgets.Of[string(pod.UID)] = BudgetsOf(pod, o.budgets)
	}
	return budgets
}
