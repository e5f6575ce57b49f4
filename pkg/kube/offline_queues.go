package kube

import (
	v1 "k8s.io/api/core/v1"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
)

// takeQueues tells the core of the queues, if there are any.
func (o *Offline) takeQueues(l Listing) {
	if len(l.Queues)+len(l.Quotas) == 0 {
		return
	}
	o.quota = NewQuota(l.Queues, l.Quotas, o.vocabulary)
	o.step(core.HistorySeen{Late: Late(l.Queues)})
	event := core.QueuesSeen{Tree: o.quota.Tree, Charge: o.charge}
	if len(o.quota.Models()) > 0 {
		event.Kind = o.kind
	}
	o.step(event)
}

// Quota is the queues; nil where there are none.
func (o *Offline) Quota() *Quota { return o.quota }

// weigh tells the core of the pods that it does not count where they are: queues hold them.
func (o *Offline) weigh() {
	view := o.view
	view.Others = func() []core.Occupant { return append(o.others(o.running), o.others(o.leaving)...) }
	o.step(core.ClusterSeen{View: view})
}

func (o *Offline) charge(amounts cluster.Resources, class, node string) cluster.Resources {
	if i, known := cluster.Find(o.view.Nodes, node); known {
		return o.quota.Charge(amounts, ModelOf(o.objects[i]))
	}
	return o.quota.Charge(amounts, o.model(class))
}

// model is the type of GPU that a class asks for.
func (o *Offline) model(class string) string {
	pod := o.classes[class]
	if pod == nil {
		return ""
	}
	model, known := o.models[class]
	if !known {
		model = o.quota.ModelFor(pod, o.view.Nodes, o.objects, func(node int) bool { return o.admits(class)[node] })
		o.models[class] = model
	}
	return model
}

func (o *Offline) kind(node string) string {
	if i, known := cluster.Find(o.view.Nodes, node); known {
		return o.quota.Kind(o.objects[i])
	}
	return ""
}

// others are those of the pods that are no members, or members on their way out.
func (o *Offline) others(pods []*v1.Pod) []core.Occupant {
	var list []core.Occupant
	for _, pod := range pods {
		if _, counted := o.core.State(string(pod.UID)); counted {
			continue
		}
		node, _ := cluster.Find(o.view.Nodes, pod.Spec.NodeName)
		occupant := Occupant(pod, node, o.mine(pod.Spec.SchedulerName), o.vocabulary)
		occupant.Requests = Occupied(pod, o.vocabulary)
		key, _ := GangOf(pod)
		occupant.Queue = o.quota.QueueOfPod(pod, o.groups[key])
		list = append(list, occupant)
	}
	return list
}
