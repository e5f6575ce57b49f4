package cli

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podresource "k8s.io/component-helpers/resource"
	schedulingv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
)

var specPath = field.NewPath("spec")

func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// defaultPods is how many pods a kubelet takes unless it is told otherwise.
const defaultPods = 110

// checkNode fills in what the apiserver and the kubelet would, and refuses amounts that
// cannot be. The note says what was taken for granted.
func checkNode(node *corev1.Node) (note string, err error) {
	if node.Status.Allocatable == nil {
		node.Status.Allocatable = node.Status.Capacity
	}
	path := field.NewPath("status", "allocatable")
	if len(node.Status.Allocatable) == 0 {
		return path.String() + ": is not given, so nothing has room there", nil
	}
	if _, given := node.Status.Allocatable[corev1.ResourcePods]; !given {
		node.Status.Allocatable[corev1.ResourcePods] = *resource.NewQuantity(defaultPods, resource.DecimalSI)
		note = fmt.Sprintf("%s: is not given; it is taken for %d", path.Key(string(corev1.ResourcePods)), defaultPods)
	}
	return note, checkAmounts(node.Status.Allocatable, path)
}

func checkGroup(group *schedulingv1alpha1.PodGroup) error {
	if group.Spec.MinMember < 0 {
		return field.Invalid(specPath.Child("minMember"), group.Spec.MinMember, "must not be negative")
	}
	return checkAmounts(group.Spec.MinResources, specPath.Child("minResources"))
}

// checkBudget refuses what the apiserver would.
func checkBudget(budget *policyv1.PodDisruptionBudget) error {
	if budget.Spec.MinAvailable != nil && budget.Spec.MaxUnavailable != nil {
		return field.Invalid(specPath.Child("maxUnavailable"), budget.Spec.MaxUnavailable.String(), "must not be given beside spec.minAvailable")
	}
	for _, given := range []struct {
		name  string
		value *intstr.IntOrString
	}{{"minAvailable", budget.Spec.MinAvailable}, {"maxUnavailable", budget.Spec.MaxUnavailable}} {
		if given.value == nil {
			continue
		}
		n, err := intstr.GetScaledValueFromIntOrPercent(given.value, 100, true)
		if err != nil {
			return field.Invalid(specPath.Child(given.name), given.value.String(), "must be a number of pods, or a percentage such as 50%")
		}
		if n < 0 {
			return field.Invalid(specPath.Child(given.name), given.value.String(), "must not be negative")
		}
	}
	if _, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector); err != nil {
		return field.Invalid(specPath.Child("selector"), metav1.FormatLabelSelector(budget.Spec.Selector), oneLine(err))
	}
	return nil
}

// checkPod fills in what the apiserver would, and refuses amounts that cannot be.
func checkPod(pod *corev1.Pod) error {
	for _, list := range []struct {
		path       *field.Path
		containers []corev1.Container
	}{
		{specPath.Child("initContainers"), pod.Spec.InitContainers},
		{specPath.Child("containers"), pod.Spec.Containers},
	} {
		for i := range list.containers {
			if err := checkResources(&list.containers[i].Resources, list.path.Index(i).Child("resources")); err != nil {
				return err
			}
		}
	}
	if pod.Spec.Resources != nil {
		if err := checkResources(pod.Spec.Resources, specPath.Child("resources")); err != nil {
			return err
		}
	}
	if err := checkAmounts(pod.Spec.Overhead, specPath.Child("overhead")); err != nil {
		return err
	}
	sum := podresource.PodRequests(pod, podresource.PodResourcesOptions{})
	for _, name := range sortedKeys(sum) {
		if quantity := sum[name]; quantity.CmpInt64(countable(name)) > 0 {
			return field.Invalid(specPath.Child("containers"), quantity.String(),
				fmt.Sprintf("is what all of them request of %s together: more than can be counted", name))
		}
	}
	return nil
}

// checkResources also lets a limit stand in for a request that is not given, as the
// apiserver does.
func checkResources(r *corev1.ResourceRequirements, path *field.Path) error {
	if err := checkAmounts(r.Limits, path.Child("limits")); err != nil {
		return err
	}
	if err := checkAmounts(r.Requests, path.Child("requests")); err != nil {
		return err
	}
	for name, limit := range r.Limits {
		if _, given := r.Requests[name]; !given {
			if r.Requests == nil {
				r.Requests = corev1.ResourceList{}
			}
			r.Requests[name] = limit
		}
	}
	return nil
}

func checkAmounts(list corev1.ResourceList, path *field.Path) error {
	for _, name := range sortedKeys(list) {
		quantity := list[name]
		switch {
		case quantity.Sign() < 0:
			return field.Invalid(path.Key(string(name)), quantity.String(), "must not be negative")
		case quantity.CmpInt64(countable(name)) > 0:
			return field.Invalid(path.Key(string(name)), quantity.String(), "is more than can be counted")
		case strings.Contains(string(name), "/") && quantity.Cmp(*resource.NewQuantity(quantity.Value(), resource.DecimalSI)) != 0:
			return field.Invalid(path.Key(string(name)), quantity.String(), "must be a whole number")
		}
	}
	return nil
}

// countable is the largest amount that the planner can count: CPUs are counted in thousandths.
func countable(name corev1.ResourceName) int64 {
	if name == corev1.ResourceCPU {
		return math.MaxInt64 / 1000
	}
	return math.MaxInt64 - 1
}
