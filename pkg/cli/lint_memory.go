package cli

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// leastMemory is less than any program needs: an amount below it lacks its unit, or has the wrong one.
const leastMemory = 1 << 20

// tooLittle says what is wrong with an amount of memory, and which one was meant where that can be
// told. Empty: nothing is, or none is asked for.
func tooLittle(memory resource.Quantity) (wrong, meant string) {
	if memory.Sign() <= 0 || memory.CmpInt64(leastMemory) >= 0 {
		return "", ""
	}
	if number, thousandths := strings.CutSuffix(memory.String(), "m"); thousandths {
		meant = number + "Mi"
		return fmt.Sprintf("is less than 1Mi: m is a thousandth of a byte; did you mean %s?", meant), meant
	}
	return "is less than 1Mi: say how many Mi or Gi, as in 16Gi", ""
}

// lintMemory finds containers with too little of it.
func lintMemory(spec *corev1.PodSpec, path *field.Path) []finding {
	var findings []finding
	judge := func(list corev1.ResourceList, path *field.Path) {
		memory := list[corev1.ResourceMemory]
		if wrong, meant := tooLittle(memory); wrong != "" {
			findings = append(findings, finding{Severity: severityWarning, Path: path.Key(string(corev1.ResourceMemory)).String(),
				Message: memory.String() + ": " + wrong, Suggestion: meant})
		}
	}
	for _, list := range []struct {
		path       *field.Path
		containers []corev1.Container
	}{{path.Child("initContainers"), spec.InitContainers}, {path.Child("containers"), spec.Containers}} {
		for i, container := range list.containers {
			resources := list.path.Index(i).Child("resources")
			judge(container.Resources.Requests, resources.Child("requests"))
			judge(container.Resources.Limits, resources.Child("limits"))
		}
	}
	return findings
}

// lintJobMemory finds them in the templates of a job.
func lintJobMemory(job *kubeflowv1.PyTorchJob) []finding {
	var findings []finding
	for _, role := range kubeflowv1.ReplicaTypes() {
		if replicas := job.Spec.PyTorchReplicaSpecs[role]; replicas != nil {
			path := specPath.Child("pytorchReplicaSpecs").Key(string(role)).Child("template", "spec")
			findings = append(findings, lintMemory(&replicas.Template.Spec, path)...)
		}
	}
	return findings
}
