package kube

import (
	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// BudgetsOf lists the places of the disruption budgets that cover a pod. An empty
// selector covers every pod of the namespace, one that is not given none.
func BudgetsOf(pod *v1.Pod, budgets []*policyv1.PodDisruptionBudget) []int {
	var places []int
	for i, budget := range budgets {
		if Covers(budget, pod) {
			places = append(places, i)
		}
	}
	return places
}

// Covers reports whether a budget counts a pod.
func Covers(budget *policyv1.PodDisruptionBudget, pod *v1.Pod) bool {
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	return err == nil && budget.Namespace == pod.Namespace && selector.Matches(labels.Set(pod.Labels))
}

// Allowance is how many of its pods a budget lets go: what its controller has written,
// or, for one that no controller has seen, what follows from the pods that run.
func Allowance(budget *policyv1.PodDisruptionBudget, running []*v1.Pod) int {
	if budget.Status.ObservedGeneration > 0 || budget.Status.ExpectedPods > 0 || budget.Status.DisruptionsAllowed > 0 {
		return int(budget.Status.DisruptionsAllowed)
	}
	n := 0
	for _, pod := range running {
		if Covers(budget, pod) {
			n++
		}
	}
	if least := budget.Spec.MinAvailable; least != nil {
		if needed, err := intstr.GetScaledValueFromIntOrPercent(least, n, true); err == nil {
			return max(0, n-needed)
		}
		return 0
	}
	if most := budget.Spec.MaxUnavailable; most != nil {
		if allowed, err := intstr.GetScaledValueFromIntOrPercent(most, n, true); err == nil {
			return max(0, allowed)
		}
		return 0
	}
	return 0
}
