package kube

import (
	v1 "k8s.io/api/core/v1"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/placement"
)

// Place is a member with where it is.
type Place struct {
	Pod *v1.Pod
	// Node is where it is bound or would go; empty while it has no place.
	Node  string
	Bound bool
	// Barred says why it may not be scheduled whatever its gang does; empty when it may.
	Barred string
}

// Standing is where a gang stands.
type Standing struct {
	Key    gang.Key
	Group  *v1alpha1.PodGroup // nil if it does not exist
	Status core.Status
	// Reason is why members wait, also those beyond a floor that has its place;
	// zero if nothing was refused. Rejection has its numbers, where there are some.
	Reason    core.Reason
	Rejection *placement.Rejection
	// Places of the members that have not ended, in rank order.
	Places []Place
	// Domain is the lowest that holds all members that have a node; -1 if none has.
	Domain int
	// Used is the number of domains with members by level, the cluster first.
	Used []int
}

// Fits reports whether the floor has its place.
func (s Standing) Fits() bool { return s.Status.Counts.Placed() >= s.Status.Floor }

// Standing says where a gang stands; ok is false for one that was not heard of.
func (o *Offline) Standing(key gang.Key) (s Standing, ok bool) {
	s = Standing{Key: key, Group: o.groups[key], Domain: -1}
	if s.Status, ok = o.core.Status(key); !ok {
		return s, false
	}
	for _, pod := range o.pods[key] {
		place := Place{Pod: pod, Node: pod.Spec.NodeName, Bound: pod.Spec.NodeName != "", Barred: Barred(pod)}
		if !place.Bound {
			place.Node, _ = o.core.Pinned(string(pod.UID))
		}
		s.Places = append(s.Places, place)
	}
	if s.Reason, s.Rejection = o.core.Refusal(key); s.Reason.Code == "" {
		s.Reason = s.Status.Reason
	}
	s.Domain, s.Used = o.span(s.Places)
	return s, true
}

// span measures over how much of the tree members are spread.
func (o *Offline) span(places []Place) (domain int, used []int) {
	tree := o.view.Tree
	domain, used = -1, make([]int, tree.Hosts()+1)
	seen := map[int]bool{}
	for _, place := range places {
		node, known := cluster.Find(o.view.Nodes, place.Node)
		if !known {
			continue
		}
		leaf := tree.Leaf(node)
		if domain < 0 {
			domain = leaf
		}
		domain = tree.Common(domain, leaf)
		for d := leaf; d >= 0 && !seen[d]; d = tree.Domains[d].Parent {
			seen[d] = true
			used[tree.Domains[d].Level]++
		}
	}
	return domain, used
}

// Lowest is the lowest domain that holds all of the named nodes; -1 where none of them
// exists.
func (o *Offline) Lowest(nodes []string) int {
	places := make([]Place, len(nodes))
	for i, name := range nodes {
		places[i].Node = name
	}
	domain, _ := o.span(places)
	return domain
}
