package kube

import (
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/preemption"
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
	req, ok := o.core.Needed(key, o.view)
	if !ok || o.never(key) {
		return Outcome{}, false
	}
	candidates, pods := o.candidates(key)
	putBack := o.takeOffHeld()
	choice, rejection := preemption.Search(o.view.Index, req, candidates, preemption.Options{
		Priority: o.priority(key), Budgets: o.allowances(),
	})
	putBack()
	if rejection != nil {
		return Outcome{Rejection: rejection}, true
	}
	outcome = Outcome{Violations: choice.Violations, Exact: choice.Exact}
	for _, victim := range choice.Victims {
		eviction := Eviction{Gang: candidates[victim.Candidate].Gang, Whole: victim.Whole}
		for _, i := range victim.Pods {
			eviction.Pods = append(eviction.Pods, pods[victim.Candidate][i])
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

// never reports whether some member of a gang may not evict others.
func (o *Offline) never(key gang.Key) bool {
	return slices.ContainsFunc(o.pods[key], func(pod *v1.Pod) bool {
		return pod.Spec.PreemptionPolicy != nil && *pod.Spec.PreemptionPolicy == v1.PreemptNever
	})
}

// priority is that of a gang's members.
func (o *Offline) priority(key gang.Key) int32 {
	priority := int32(-1 << 31)
	for _, pod := range o.pods[key] {
		priority = max(priority, Priority(pod))
	}
	return priority
}

// candidates are the gangs and single pods that run, except the gang itself, and their
// pods.
func (o *Offline) candidates(except gang.Key) (list []preemption.Candidate, pods [][]*v1.Pod) {
	now := o.latest()
	add := func(c preemption.Candidate, members []*v1.Pod) {
		for _, pod := range members {
			c.Pods = append(c.Pods, o.victim(pod, now))
		}
		list, pods = append(list, c), append(pods, members)
	}
	for _, key := range o.Gangs() {
		running := slices.DeleteFunc(slices.Clone(o.pods[key]), func(pod *v1.Pod) bool {
			_, bound := cluster.Find(o.view.Nodes, pod.Spec.NodeName)
			return !bound
		})
		if key == except || len(running) == 0 {
			continue
		}
		floor := len(running) // who does not say what it can spare spares nothing
		if status, _ := o.core.Status(key); o.groups[key] != nil {
			floor = status.Floor - status.Counts.Finished
		}
		add(preemption.Candidate{Gang: key, Priority: o.priority(key), Floor: floor}, running)
	}
	for _, pod := range o.victims {
		if _, member := GangOf(pod); !member {
			key := gang.Key{Namespace: pod.Namespace, Name: pod.Name}
			add(preemption.Candidate{Gang: key, Priority: Priority(pod), Floor: 1}, []*v1.Pod{pod})
		}
	}
	return list, pods
}

func (o *Offline) victim(pod *v1.Pod, now time.Time) preemption.Pod {
	node, _ := cluster.Find(o.view.Nodes, pod.Spec.NodeName)
	p := preemption.Pod{
		Node: node, Requests: Occupied(pod, o.vocabulary), Firm: Leads(pod), Budgets: BudgetsOf(pod, o.budgets),
	}
	if pod.Status.StartTime != nil {
		p.Lost = GPUs(p.Requests) * int64(now.Sub(pod.Status.StartTime.Time)/time.Second)
	}
	return p
}

// latest is the last start of a pod: what has run up to then counts as lost. The clock
// would add the same to all that run.
func (o *Offline) latest() time.Time {
	var now time.Time
	for _, pod := range o.victims {
		if start := pod.Status.StartTime; start != nil && start.After(now) {
			now = start.Time
		}
	}
	return now
}

// takeOffHeld takes what is held for gangs that have been tried off the index, until the
// returned function puts it back.
func (o *Offline) takeOffHeld() (putBack func()) {
	var places []int
	for i, node := range o.view.Nodes {
		if held := o.core.HeldOn(node.Name, ""); len(held) > 0 {
			node.Free = node.Free.Clone().Sub(held)
			o.view.Index.Update(i, node)
			places = append(places, i)
		}
	}
	return func() {
		for _, i := range places {
			o.view.Index.Update(i, o.view.Nodes[i])
		}
	}
}

// allowances are how many pods each budget lets go.
func (o *Offline) allowances() []int {
	list := make([]int, len(o.budgets))
	for i, budget := range o.budgets {
		list[i] = Allowance(budget, o.victims)
	}
	return list
}
