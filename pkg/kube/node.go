package kube

import (
	"strconv"

	v1 "k8s.io/api/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"

	"lockstep.dev/lockstep/pkg/cluster"
)

// Node translates a node that nothing runs on: Free is all of Allocatable.
func Node(node *v1.Node, vocabulary *cluster.Vocabulary) cluster.Node {
	allocatable := Resources(node.Status.Allocatable, vocabulary)
	return cluster.Node{
		Name: node.Name, Labels: node.Labels, Allocatable: allocatable, Free: allocatable.Clone(), Discouraged: discouraged(node),
	}
}

func discouraged(node *v1.Node) bool {
	for i := range node.Spec.Taints {
		if node.Spec.Taints[i].Effect == v1.TaintEffectPreferNoSchedule {
			return true
		}
	}
	return false
}

// Admission is what decides whether pods of one class may run on a node,
// resources apart: selectors, required node affinity, taints, cordons.
type Admission struct {
	affinity    nodeaffinity.RequiredNodeAffinity
	tolerations []v1.Toleration
}

// NewAdmission reads the constraints of a pod; any pod of a class speaks for all.
func NewAdmission(pod *v1.Pod) Admission {
	return Admission{affinity: nodeaffinity.GetRequiredNodeAffinity(pod), tolerations: pod.Spec.Tolerations}
}

// Admits says whether a pod of the class may run on the node.
func (a Admission) Admits(node *v1.Node) bool {
	if match, err := a.affinity.Match(node); err != nil || !match {
		return false
	}
	if node.Spec.Unschedulable && !corev1helpers.TolerationsTolerateTaint(klog.Background(), a.tolerations, &v1.Taint{
		Key: v1.TaintNodeUnschedulable, Effect: v1.TaintEffectNoSchedule,
	}, true) {
		return false
	}
	_, untolerated := corev1helpers.FindMatchingUntoleratedTaint(klog.Background(), node.Spec.Taints, a.tolerations, func(t *v1.Taint) bool {
		return t.Effect == v1.TaintEffectNoSchedule || t.Effect == v1.TaintEffectNoExecute
	}, true)
	return !untolerated
}

// CountLabel is where NVIDIA's feature discovery writes how many GPUs a node has.
const CountLabel = "nvidia.com/gpu.count"

// LabelledGPUs are the GPUs that a node's label tells of, and those that it can give; differ
// says that there is such a label and that it is wrong: a GPU is broken, or the label is old.
func LabelledGPUs(node *v1.Node) (labelled, allocatable int64, differ bool) {
	labelled, err := strconv.ParseInt(node.Labels[CountLabel], 10, 64)
	if err != nil {
		return 0, 0, false
	}
	given := node.Status.Allocatable["nvidia.com/gpu"]
	return labelled, given.Value(), labelled != given.Value()
}
