package controller

import (
	"fmt"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// eachUpTo is how many objects of one kind get an event each. The event of the last
// one stands for the rest: nobody reads a thousand.
const eachUpTo = 32

// told are the kinds whose creation and deletion is told, as their events have always
// been worded.
var told = []struct{ kind, noun string }{
	{"Pod", "pod"}, {"Service", "service"}, {"PodGroup", "PodGroup"},
}

// tellMany tells what was created or deleted, by kind.
func (r *Reconciler) tellMany(job *v1.PyTorchJob, reason, verb string, done map[string][]string) {
	for _, event := range manyEvents(reason, verb, done) {
		r.Recorder.Event(job, event.Type, event.Reason, event.Message)
	}
}

func manyEvents(reason, verb string, done map[string][]string) []Event {
	var events []Event
	for _, t := range told {
		names := done[t.kind]
		if t.kind == "PodGroup" && verb == "Created" {
			continue
		}
		for i, name := range names {
			message := fmt.Sprintf("%s %s: %s", verb, t.noun, name)
			if left := len(names) - i - 1; i == eachUpTo-1 && left > 0 {
				message = fmt.Sprintf("%s %s: %s and %d more", verb, t.noun, name, left)
			}
			if i == eachUpTo {
				break
			}
			events = append(events, Event{corev1.EventTypeNormal, reason + t.kind, message})
		}
	}
	return events
}

// kindOf names the kind of an object that we make.
func kindOf(object client.Object) string {
	switch object.(type) {
	case *corev1.Pod:
		return "Pod"
	case *corev1.Service:
		return "Service"
	case *scheduling.PodGroup:
		return "PodGroup"
	case *autoscalingv2.HorizontalPodAutoscaler:
		return autoscalerKind
	case *corev1.PodTemplate:
		return "PodTemplate"
	case *unstructured.Unstructured:
		return ProvisioningRequestKind.Kind
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", object), "*")
}

// controllerOf returns the owner that controls an object, if that is a PyTorchJob.
func controllerOf(object metav1.Object) *metav1.OwnerReference {
	owner := metav1.GetControllerOfNoCopy(object)
	if owner == nil || owner.Kind != v1.Kind || !strings.HasPrefix(owner.APIVersion, v1.GroupName+"/") {
		return nil
	}
	return owner
}
