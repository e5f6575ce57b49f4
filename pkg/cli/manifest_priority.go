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
	otherwise int32
}

// newPriorities knows the classes given beside those that every cluster has. Of several
// global defaults the lowest counts.
func newPriorities(classes []*schedulingv1.PriorityClass) priorities {
	p := priorities{values: map[string]int32{"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}}
	found := false
	for _, class := range classes {
		p.values[class.Name] = class.Value
		if class.GlobalDefault && (!found || class.Value < p.otherwise) {
			p.otherwise, found = class.Value, true
		}
	}
	return p
}

// set fills in spec.priority where it is absent.
func (p priorities) set(pod *corev1.Pod) error {
	if pod.Spec.Priority != nil {
		return nil
	}
	value, name := p.otherwise, pod.Spec.PriorityClassName
	if name != "" {
		known := false
		if value, known = p.values[name]; !known {
			return field.Invalid(specPath.Child("priorityClassName"), name,
				fmt.Sprintf("there is no PriorityClass %s: add it to the manifests, or set spec.priority", name))
		}
	}
	pod.Spec.Priority = &value
	return nil
}
