package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	schedulingv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	configv1alpha1 "lockstep.dev/lockstep/pkg/apis/config/v1alpha1"
	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/controller"
	"lockstep.dev/lockstep/pkg/kube"
)

// lintJob says of a job that the apiserver takes what its controller and its scheduler would.
func lintJob(text []byte) []finding {
	job := &kubeflowv1.PyTorchJob{}
	if err := json.Unmarshal(text, job); err != nil {
		return []finding{undecodable(text, err)}
	}
	job.Status = kubeflowv1.JobStatus{}
	effective := kubeflowv1.Effective(job)
	if errs := append(kubeflowv1.Validate(effective), kubeflowv1.ValidateSize(effective, controller.DefaultSettings().MaxGangSize)...); len(errs) > 0 {
		return inWords(errs)
	}
	findings := lintJobMemory(job)
	plan := firstPlan(job)
	for _, event := range plan.Events {
		if event.Type == corev1.EventTypeWarning {
			path, message := splitPath(event.Message)
			findings = append(findings, finding{Severity: severityWarning, Path: path, Message: message})
		}
	}
	findings = append(findings, lintTorchrun(job, plan)...)
	looked := map[string]bool{}
	for _, object := range plan.Create {
		switch object := object.(type) {
		case *schedulingv1alpha1.PodGroup:
			findings = append(findings, lintWishes(object)...)
		case *corev1.Pod:
			role := "Worker"
			if object.Labels[controller.LabelReplicaType] == "master" {
				role = "Master"
			}
			if !looked[role] { // the others of the role differ in their names
				looked[role] = true
				findings = append(findings, lintPod(object, "spec.pytorchReplicaSpecs."+role+".template.")...)
			}
		}
	}
	return findings
}

// firstPlan is what the controller makes of a job that has just come.
func firstPlan(job *kubeflowv1.PyTorchJob) controller.Plan {
	return controller.Decide(controller.Observed{Job: job, Now: time.Unix(0, 0)}, controller.DefaultSettings())
}

// lintPod says of a pod what the apiserver would not take in it.
func lintPod(pod *corev1.Pod, prefix string) []finding {
	errs := devices(pod)
	if err := checkPod(pod); err != nil {
		errs = append(errs, asFieldError(err))
	}
	for _, err := range errs {
		err.Field = prefix + err.Field
	}
	return inWords(errs)
}

// devices are never shared, so who asks for them says how many by a limit.
func devices(pod *corev1.Pod) field.ErrorList {
	var errs field.ErrorList
	for i, container := range pod.Spec.Containers {
		path := specPath.Child("containers").Index(i).Child("resources")
		for _, name := range sortedKeys(container.Resources.Requests) {
			if !strings.Contains(string(name), "/") {
				continue
			}
			request := container.Resources.Requests[name]
			limit, limited := container.Resources.Limits[name]
			switch {
			case !limited:
				errs = append(errs, field.Required(path.Child("limits").Key(string(name)), "a request of devices needs a limit"))
			case request.Cmp(limit) != 0:
				errs = append(errs, field.Invalid(path.Child("requests").Key(string(name)), request.String(),
					fmt.Sprintf("must be equal to the limit, %s", limit.String())))
			}
		}
	}
	return errs
}

func lintGroup(text []byte) []finding {
	group := &schedulingv1alpha1.PodGroup{}
	if err := json.Unmarshal(text, group); err != nil {
		return []finding{undecodable(text, err)}
	}
	return lintWishes(group)
}

// lintWishes says what the scheduler would not understand of a gang's annotations.
func lintWishes(group *schedulingv1alpha1.PodGroup) []finding {
	if invalid := kube.Spec(group).Invalid; invalid != "" {
		path, message := splitPath(invalid)
		return []finding{fault(path, message)}
	}
	return nil
}

func lintRaw(args runtime.RawExtension, prefix string) []finding {
	object := map[string]any{}
	if json.Unmarshal(args.Raw, &object) != nil {
		return nil
	}
	findings := lintFields(object, reflect.TypeFor[configv1alpha1.LockstepArgs]())
	for i := range findings {
		findings[i].Path = prefix + findings[i].Path
	}
	return append(findings, lintArgs(args.Raw, prefix)...)
}

// lintArgs is for the plugin's arguments; unknown fields have been told of.
func lintArgs(text []byte, prefix string) []finding {
	object := map[string]any{}
	if err := json.Unmarshal(text, &object); err != nil {
		return []finding{fault(strings.TrimSuffix(prefix, "."), oneLine(err))}
	}
	known := shape{reflect.TypeFor[configv1alpha1.LockstepArgs]()}.fields()
	maps.DeleteFunc(object, func(name string, _ any) bool { return known[name] == nil })
	text, _ = json.Marshal(object)
	_, err := configv1alpha1.Decode(text)
	if err == nil {
		return nil
	}
	var errs field.ErrorList
	if all := utilerrors.Aggregate(nil); errors.As(err, &all) {
		for _, err := range all.Errors() {
			fault := asFieldError(err)
			fault.Field = prefix + fault.Field
			errs = append(errs, fault)
		}
		return inWords(errs)
	}
	return []finding{fault(strings.TrimSuffix(prefix, "."), oneLine(err))}
}

// ourPrefix is that of annotations and labels which mean something to Lockstep.
const ourPrefix = "lockstep.dev/"

var ourAnnotations = []string{
	kubeflowv1.AnnotationAutoscale, kubeflowv1.AnnotationExpectedDuration, kubeflowv1.AnnotationWorldSizes,
	kubeflowv1.AnnotationWorldSizeStep, kubeflowv1.AnnotationResizeCooldown, kubeflowv1.AnnotationMaxResizes,
	kubeflowv1.AnnotationCheckpointGrace, kubeflowv1.AnnotationStepsPort, kubeflowv1.AnnotationStaticRendezvous,
	kube.RequiredTopology, kube.PreferredTopology, kube.SliceTopology, kube.SliceSize, kube.Revocable,
}

var ourLabels = []string{kube.QueueLabel}

// unquotedMetadata finds labels and annotations that are no strings, which no definition
// speaks of. They are put in quotes, so that the rest of the object can be judged.
func unquotedMetadata(object map[string]any) []finding {
	metadata, _ := object["metadata"].(map[string]any)
	var findings []finding
	for _, kind := range []string{"annotations", "labels"} {
		given, _ := metadata[kind].(map[string]any)
		for _, name := range sortedKeys(given) {
			is := ""
			switch given[name].(type) {
			case bool:
				is = "boolean"
			case int64:
				is = "integer"
			case float64:
				is = "number"
			case []any:
				is = "array"
			case map[string]any:
				is = "object"
			default:
				continue
			}
			given[name] = fmt.Sprint(given[name])
			findings = append(findings, fault("metadata."+kind+"["+name+"]", misfit("string", is)))
		}
	}
	return findings
}

// lintMetadata finds annotations and labels with our prefix that mean nothing: nobody else says so.
func lintMetadata(object map[string]any) []finding {
	metadata, _ := object["metadata"].(map[string]any)
	var findings []finding
	for _, kind := range []struct {
		field, noun string
		known       []string
	}{{"annotations", "annotation", ourAnnotations}, {"labels", "label", ourLabels}} {
		given, _ := metadata[kind.field].(map[string]any)
		for _, name := range sortedKeys(given) {
			if !strings.HasPrefix(name, ourPrefix) || slices.Contains(kind.known, name) {
				continue
			}
			f := finding{Severity: severityWarning, Path: "metadata." + kind.field + "[" + name + "]",
				Message: "means nothing to Lockstep", Suggestion: nearest(name, kind.known)}
			if f.Suggestion != "" {
				f.Message += "; did you mean " + f.Suggestion + "?"
			}
			findings = append(findings, f)
		}
	}
	return findings
}
