package kube

import (
	"cmp"
	"slices"
	"sort"
	"time"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podresource "k8s.io/component-helpers/resource"
	fwk "k8s.io/kube-scheduler/framework"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
	"lockstep.dev/lockstep/pkg/queue"
	"lockstep.dev/lockstep/pkg/topology"
)

// Listing is a cluster as it was read, or written down, at one time. Nodes have
// different names, pods and pod groups different namespaces and names; every pod
// has a UID.
type Listing struct {
	Nodes     []*v1.Node
	Pods      []*v1.Pod
	PodGroups []*v1alpha1.PodGroup
	// Budgets are looked at for victims only.
	Budgets []*policyv1.PodDisruptionBudget
	// Queues and Quotas say who may have how much.
	Queues []*lockstepv1alpha1.Queue
	Quotas []*v1alpha1.ElasticQuota
	// Reserved is the room that is kept for gangs, as their PodGroups' status has it.
	Reserved map[gang.Key]*Reservation
	// Now is when it was read; where it does not say, when the last pod got its node.
	Now time.Time
}

// Offline is a scheduler without a cluster: a core that was told of everything in
// a Listing, which is asked gang by gang what it would do. Nothing is bound; what a
// gang gets stays held, so the gangs that are tried later see it.
//
// It decides as the scheduler does, except for what only the framework's own filters
// know; Unchecked names that. It is not safe for concurrent use.
type Offline struct {
	core       *core.Core
	view       core.View
	vocabulary *cluster.Vocabulary
	objects    []*v1.Node             // as view.Nodes
	ports      []fwk.HostPortInfo     // in use, by node
	pods       map[gang.Key][]*v1.Pod // members that have not ended, in rank order
	groups     map[gang.Key]*v1alpha1.PodGroup
	classes    map[string]*v1.Pod // one of each class
	admitted   map[string][]bool  // nodes by class
	models     map[string]string  // of GPU, that classes ask for

	running []*v1.Pod // bound pods that stay, by name
	leaving []*v1.Pod // bound pods that are being deleted
	left    []*v1.Pod // those of them that are taken for gone
	budgets []*policyv1.PodDisruptionBudget
	quota   *Quota // nil where there are no queues
	mine    func(schedulerName string) bool
	now     time.Time
}

// NewOffline takes in a listing. Pods are members only if mine says that their
// scheduler is this one. The order of the listing makes no difference.
func NewOffline(l Listing, levels []topology.Level, mine func(schedulerName string) bool) *Offline {
	vocabulary := cluster.NewVocabulary()
	o := &Offline{
		core: core.New(core.Options{Vocabulary: vocabulary, PlanAll: true}), vocabulary: vocabulary,
		pods: map[gang.Key][]*v1.Pod{}, groups: map[gang.Key]*v1alpha1.PodGroup{},
		classes: map[string]*v1.Pod{}, admitted: map[string][]bool{}, models: map[string]string{},
		budgets: l.Budgets, mine: mine, now: l.now(),
	}
	l = l.sorted()
	o.takeNodes(l, levels)
	o.takeQueues(l)
	for _, pg := range l.PodGroups {
		spec := o.quota.Spec(pg)
		o.groups[spec.Key] = pg
		o.step(core.GroupSeen{Spec: spec, Reservation: l.Reserved[spec.Key].Promise(o.vocabulary)})
	}
	for _, pod := range l.Pods {
		o.takeRunning(pod)
		key, labelled := GangOf(pod)
		switch {
		case mine(pod.Spec.SchedulerName):
			if labelled {
				o.takeMember(key, pod)
			}
		case labelled && !ended(pod) && pod.DeletionTimestamp == nil:
			o.step(core.OutsiderSeen{Key: key, Outsider: Outsider(pod)})
		}
	}
	for _, pods := range o.pods {
		sort.Slice(pods, func(i, j int) bool { return gang.Before(o.member(pods[i]), o.member(pods[j])) })
	}
	o.weigh()
	return o
}

// sorted brings a listing into an order of its own, so that places in the
// vocabulary, and with them ties, do not depend on the one it came in.
func (l Listing) sorted() Listing {
	l.Nodes, l.Pods, l.PodGroups = slices.Clone(l.Nodes), slices.Clone(l.Pods), slices.Clone(l.PodGroups)
	slices.SortFunc(l.Nodes, byName[*v1.Node])
	slices.SortFunc(l.Pods, byName[*v1.Pod])
	slices.SortFunc(l.PodGroups, byName[*v1alpha1.PodGroup])
	return l
}

// now is when the listing was read, else the last start of a pod: what has run up to then
// counts as lost, and the clock would add the same to all that run.
func (l Listing) now() time.Time {
	now := l.Now
	for _, pod := range l.Pods {
		if start := Started(pod); l.Now.IsZero() && start.After(now) {
			now = start
		}
	}
	return now
}

func byName[T metav1.Object](a, b T) int {
	return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
}

// takeNodes makes the view: what is allocatable less what pods that have not ended take.
func (o *Offline) takeNodes(l Listing, levels []topology.Level) {
	nodes := make([]cluster.Node, len(l.Nodes))
	o.ports = make([]fwk.HostPortInfo, len(l.Nodes))
	for i, node := range l.Nodes {
		nodes[i], o.ports[i] = Node(node, o.vocabulary), fwk.HostPortInfo{}
	}
	for _, pod := range l.Pods {
		if i, ok := cluster.Find(nodes, pod.Spec.NodeName); ok && !ended(pod) {
			o.takePorts(i, pod)
			nodes[i].Free = nodes[i].Free.Sub(Occupied(pod, o.vocabulary))
		}
	}
	o.objects = l.Nodes
	tree := topology.Build(levels, nodes)
	o.view = core.View{Nodes: nodes, Tree: tree, Index: placement.NewIndex(nodes, tree), Epoch: 1, Eligible: o.eligible, PortsTaken: o.portsTaken}
}

func (o *Offline) takePorts(node int, pod *v1.Pod) {
	for _, p := range HostPorts(pod) {
		o.ports[node].Add(p.HostIP, string(p.Protocol), p.HostPort)
	}
}

// Occupied is what a pod takes from the node that it is bound to: while it is being
// resized, the larger of what it has and what it asks for.
func Occupied(pod *v1.Pod, vocabulary *cluster.Vocabulary) cluster.Resources {
	options := podresource.PodResourcesOptions{UseStatusResources: true}
	return Resources(podresource.PodRequests(pod, options), vocabulary).Set(cluster.Pods, 1)
}

func ended(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}

func (o *Offline) takeMember(key gang.Key, pod *v1.Pod) {
	switch {
	case pod.Status.Phase == v1.PodSucceeded:
		o.step(core.MemberFinished{Key: key, UID: string(pod.UID)})
	case ended(pod), pod.DeletionTimestamp != nil:
	default:
		member := o.member(pod)
		o.pods[key] = append(o.pods[key], pod)
		o.classes[member.Class] = pod
		o.step(core.MemberSeen{Key: key, Member: member, Node: pod.Spec.NodeName, Barred: Barred(pod)})
	}
}

func (o *Offline) member(pod *v1.Pod) gang.Member { return Member(pod, o.vocabulary) }

// step hands an event to the core. Time stands still, so nothing runs out.
func (o *Offline) step(event core.Event) { o.core.Step(o.now, event) }

// eligible says whether a class may run on a node, resources apart.
func (o *Offline) eligible(class string, node int) bool {
	return o.admits(class)[node] && PortsFree(HostPorts(o.classes[class]), o.ports[node])
}

// portsTaken says whether it may not only because a host port that it wants is in use there.
func (o *Offline) portsTaken(class string, node int) bool {
	return o.admits(class)[node] && !PortsFree(HostPorts(o.classes[class]), o.ports[node])
}

// admits says of each node whether a class may run there, but for what is taken there.
func (o *Offline) admits(class string) []bool {
	admits := o.admitted[class]
	if admits == nil {
		admission := NewAdmission(o.classes[class])
		admits = make([]bool, len(o.objects))
		for i := range o.objects {
			admits[i] = admission.Admits(o.objects[i])
		}
		o.admitted[class] = admits
	}
	return admits
}

// Tree of the nodes.
func (o *Offline) Tree() *topology.Tree { return o.view.Tree }

// Nodes by name, with what is free on them; what is held for gangs that have been
// tried is not taken off.
func (o *Offline) Nodes() []cluster.Node { return o.view.Nodes }

// Objects are the nodes themselves, in the order of Nodes.
func (o *Offline) Objects() []*v1.Node { return o.objects }

// Vocabulary names the resources.
func (o *Offline) Vocabulary() *cluster.Vocabulary { return o.vocabulary }

// Gangs lists all gangs by key: those with a pod group and those with members.
func (o *Offline) Gangs() []gang.Key {
	var keys []gang.Key
	for key := range o.groups {
		keys = append(keys, key)
	}
	for key := range o.pods {
		if o.groups[key] == nil {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, byKey)
	return keys
}

func byKey(a, b gang.Key) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// Queue lists the gangs that wait for something, in the order in which they are
// tried. Those that may not be tried yet, because members do not exist, come last.
func (o *Offline) Queue() []gang.Key {
	type place struct {
		gang gang.Key
		key  queue.Key
	}
	var open, shut []place
	var empty []gang.Key
	for _, key := range o.Gangs() {
		leader := o.leader(key)
		if leader == nil {
			if o.lacksMembers(key) {
				empty = append(empty, key)
			}
			continue
		}
		at, _ := o.core.QueueKey(string(leader.UID))
		if o.core.Gate(string(leader.UID)).Code == "" {
			open = append(open, place{key, at})
		} else {
			shut = append(shut, place{key, at})
		}
	}
	var keys []gang.Key
	for _, places := range [][]place{open, shut} {
		sort.Slice(places, func(i, j int) bool { return queue.Less(places[i].key, places[j].key) })
		for _, p := range places {
			keys = append(keys, p.gang)
		}
	}
	return append(keys, empty...)
}

// lacksMembers reports whether the floor of a gang does not exist, and has not
// been there and gone.
func (o *Offline) lacksMembers(key gang.Key) bool {
	status, known := o.core.Status(key)
	if !known || status.Phase != gang.Incomplete && status.Phase != gang.Degraded {
		return false
	}
	over := o.groups[key] != nil && o.groups[key].Status.Phase == v1alpha1.PodGroupFinished
	return status.Counts.Live() > 0 || !over
}

// leader is the member that is tried for its gang; nil if none waits.
func (o *Offline) leader(key gang.Key) *v1.Pod {
	for _, pod := range o.pods[key] {
		if o.core.Leads(string(pod.UID)) {
			return pod
		}
	}
	return nil
}

// Try asks for a place for the waiting members of a gang, as the scheduler does at
// the gang's turn.
func (o *Offline) Try(key gang.Key) {
	leader := o.leader(key)
	if leader == nil {
		return
	}
	o.step(core.Attempt{UID: string(leader.UID), View: o.view})
	for _, pod := range o.pods[key] {
		name, _ := o.core.Pinned(string(pod.UID))
		if node, ok := cluster.Find(o.view.Nodes, name); ok && len(HostPorts(pod)) > 0 {
			o.takePorts(node, pod)
			o.view.Index.Update(node, o.view.Nodes[node]) // who is eligible there has changed
		}
	}
}
