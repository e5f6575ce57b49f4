package kube

import (
	"slices"
	"time"

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
}

// Outcome is what a search for victims came to.
type Outcome struct {
	Evictions []Eviction
	// Violations of disruption budgets.
	Violations int
	// Exact is true where it is known that no choice is better.
	Exact bool
	// Rejection says what would be missing without all that may go; nil where the
	// gang got its place.
	Rejection *placement.Rejection
}

// Preempt lets others go for a gang that has been tried and whose floor has no place,
// and tries it again. Pods that are being deleted are taken for gone. It is not ok
// where the gang may not evict anybody or victims are of no help: it has its floor, its
// preemptionPolicy is Never, or it may not be tried.
//
// Only pods of the listing's own scheduler are victims.
func (o *Offline) Preempt(key gang.Key) (outcome Outcome, ok bool) {
	o.letLeave()
	view := o.view
	view.Others, view.Budgets = o.others, o.allowances
	victims, ok := o.core.Victims(o.latest(), key, view)
	if !ok || victims.Rejection != nil {
		return Outcome{Rejection: victims.Rejection}, ok
	}
	outcome = Outcome{Violations: victims.Violations, Exact: victims.Exact}
	for _, victim := range victims.Evictions {
		eviction := Eviction{Gang: victim.Key, Whole: victim.Whole}
		for _, uid := range victim.UIDs {
			i := slices.IndexFunc(o.victims, func(pod *v1.Pod) bool { return string(pod.UID) == uid })
			eviction.Pods = append(eviction.Pods, o.victims[i])
		}
		outcome.Evictions = append(outcome.Evictions, eviction)
		o.evict(eviction)
	}
	o.Try(key)
	return outcome, true
}

// takeVictim notes a pod that could be evicted, or is on its way out already.
func (o *Offline) takeVictim(pod *v1.Pod) {
	if _, known := cluster.Find(o.view.Nodes, pod.Spec.NodeName); !known || ended(pod) {
		return
	}
	if pod.DeletionTimestamp != nil {
		o.leaving = append(o.leaving, pod)
	} else {
		o.victims = append(o.victims, pod)
	}
}

// letLeave frees what pods hold that are being deleted.
func (o *Offline) letLeave() {
	for _, pod := range o.leaving {
		o.vacate(pod)
	}
	o.leaving = nil
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
		o.victims = slices.DeleteFunc(o.victims, same)
		if key, member := GangOf(pod); member {
			o.pods[key] = slices.DeleteFunc(o.pods[key], same)
			o.step(core.MemberGone{Key: key, UID: string(pod.UID)})
		}
	}
}

// others are the pods without a gang that run.
func (o *Offline) others() []core.Occupant {
	var list []core.Occupant
	for _, pod := range o.victims {
		if _, member := GangOf(pod); !member {
			node, _ := cluster.Find(o.view.Nodes, pod.Spec.NodeName)
			occupant := Occupant(pod, node, true, o.vocabulary)
			occupant.Requests = Occupied(pod, o.vocabulary)
			list = append(list, occupant)
		}
	}
	return list
}

// latest is the last start of a pod: what has run up to then counts as lost. The clock
// would add the same to all that run.
func (o *Offline) latest() time.Time {
	var now time.Time
	for _, pod := range o.victims {
		if start := Started(pod); start.After(now) {
			now = start
		}
	}
	return now
}

// allowances are how many pods each budget lets go, and which pods each covers.
func (o *Offline) allowances() core.Budgets {
	budgets := core.Budgets{Allowed: make([]int, len(o.budgets)), Of: map[string][]int{}}
	for i, budget := range o.budgets {
		budgets.Allowed[i] = Allowance(budget, o.victims)
	}
	for _, pod := range o.victims {
		budgets.Of[string(pod.UID)] = BudgetsOf(pod, o.budgets)
	}
	return budgets
}
