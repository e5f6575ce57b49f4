package cli

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// priorities gives pods of manifests the number that stands for their class, as the
// apiserver's admission does.
type priorities struct {
	values    map[string]int32
	policies  map[string]*corev1.PreemptionPolicy
	otherwise int32
	fallback  string // the class that otherwise is of
}

// newPriorities knows the classes given beside those that every cluster has. Of several
// global defaults the lowest counts.
func newPriorities(classes []*schedulingv1.PriorityClass) priorities {
	p := priorities{values: map[string]int32{"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}, policies: map[string]*corev1.PreemptionPolicy{}}
	found := false
	for _, class := range classes {
		p.values[class.Name], p.policies[class.Name] = class.Value, class.PreemptionPolicy
		if class.GlobalDefault && (!found || class.Value < p.otherwise) {
			p.otherwise, p.fallback, found = class.Value, class.Name, true
		}
	}
	return p
}

// set fills in spec.priority and spec.preemptionPolicy where they are absent.
func (p priorities) set(pod *corev1.Pod) error {
	name := pod.Spec.PriorityClassName
	if name == "" {
		name = p.fallback
	}
	if pod.Spec.PreemptionPolicy == nil {
		pod.Spec.PreemptionPolicy = p.policies[name]
	}
	if pod.Spec.Priority != nil {
		return nil
	}
	value := p.otherwise
	if name = pod.Spec.PriorityClassName; name != "" {
		known := false
		if value, known = p.values[name]; !known {
			return field.Invalid(specPath.Child("priorityClassName"), name,
				fmt.Sprintf("there is no PriorityClass %s: add it to the manifests, or set spec.priority", name))
		}
	}
	pod.Spec.Priority = &value
	return nil
}
