package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/kubernetes/scheme"
	kubeschedulerv1 "k8s.io/kube-scheduler/config/v1"
	strictjson "sigs.k8s.io/json"
	schedulingv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	configv1alpha1 "lockstep.dev/lockstep/pkg/apis/config/v1alpha1"
	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
)

// The severities of findings.
const (
	severityError   = "error"   // the object would be refused, or the field lost
	severityWarning = "warning" // accepted, and probably not what its author meant
)

// finding is one thing that is wrong with a manifest.
type finding struct {
	File     string `json:"file"`
	Document int    `json:"document"`
	// Line of the field, or of what it should be in; 0 where that is not known.
	Line     int    `json:"line,omitempty"`
	Object   string `json:"object"`
	Severity string `json:"severity"`
	Path     string `json:"path,omitempty"`
	Message  string `json:"message"`
	// Suggestion is the field, annotation or kind that was probably meant.
	Suggestion string `json:"suggestion,omitempty"`
}

// lintable are our own kinds by their Go types; those of Kubernetes itself are in client-go's scheme.
var lintable = map[schema.GroupVersionKind]reflect.Type{
	kubeflowv1.GroupVersionKind:                                                  reflect.TypeFor[kubeflowv1.PyTorchJob](),
	schedulingv1alpha1.SchemeGroupVersion.WithKind("PodGroup"):                   reflect.TypeFor[schedulingv1alpha1.PodGroup](),
	schedulingv1alpha1.SchemeGroupVersion.WithKind("ElasticQuota"):               reflect.TypeFor[schedulingv1alpha1.ElasticQuota](),
	lockstepv1alpha1.GroupVersion.WithKind(lockstepv1alpha1.Kind):                reflect.TypeFor[lockstepv1alpha1.Queue](),
	schema.FromAPIVersionAndKind(configv1alpha1.APIVersion, configv1alpha1.Kind): reflect.TypeFor[configv1alpha1.LockstepArgs](),
	kubeschedulerv1.SchemeGroupVersion.WithKind("KubeSchedulerConfiguration"):    reflect.TypeFor[kubeschedulerv1.KubeSchedulerConfiguration](),
}

// typeOf is the Go type of a kind.
func typeOf(gvk schema.GroupVersionKind) (reflect.Type, bool) {
	if t, ok := lintable[gvk]; ok {
		return t, true
	}
	t, ok := scheme.Scheme.AllKnownTypes()[gvk]
	return t, ok
}

// errPassedOver is for kinds of which nothing is known.
var errPassedOver = errors.New("passed over, its kind is not known")

// lintObject says what is wrong with one object, given as JSON.
func lintObject(text []byte) ([]finding, error) {
	object, ok := asObject(text)
	if !ok {
		return []finding{fault("", "is no Kubernetes object, which begins with apiVersion and kind")}, nil
	}
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	if kind == "" || apiVersion == "" {
		return []finding{fault(map[bool]string{true: "kind", false: "apiVersion"}[kind == ""], "must be given, as a string")}, nil
	}
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	t, known := typeOf(gvk)
	if !known {
		if f, ok := misnamed(gvk); ok {
			return []finding{f}, nil
		}
		return nil, errPassedOver
	}
	findings := lintFields(object, t)
	if unquoted := unquotedMetadata(object); len(unquoted) > 0 {
		findings = append(findings, unquoted...)
		var err error
		if text, err = json.Marshal(object); err != nil {
			return nil, err
		}
	}
	findings = append(findings, lintMetadata(object)...)
	all, err := definitions()
	if err != nil {
		return nil, err
	}
	if d := all[gvk]; d != nil {
		return append(findings, lintResource(object, d, gvk)...), nil
	}
	return append(findings, lintTyped(text, t)...), nil
}

func asObject(text []byte) (map[string]any, bool) {
	var object map[string]any
	err := utiljson.Unmarshal(text, &object)
	return object, err == nil && object != nil
}

func fault(path, message string) finding {
	return finding{Severity: severityError, Path: path, Message: message}
}

// lintFields finds unknown fields, and says which were meant.
func lintFields(object map[string]any, t reflect.Type) []finding {
	var findings []finding
	for _, u := range unknownFields(object, t) {
		f := fault(u.path.String(), "unknown field")
		if f.Suggestion = u.meant(); f.Suggestion != "" {
			f.Message += "; did you mean " + f.Suggestion + "?"
		} else if known := sortedKeys(u.trail[len(u.trail)-1].fields()); len(known) <= 8 {
			f.Message += "; there are " + strings.Join(known, ", ")
		}
		findings = append(findings, f)
	}
	return findings
}

// lintResource is for a kind with a definition of ours.
func lintResource(object map[string]any, d *definition, gvk schema.GroupVersionKind) []finding {
	nameIt(object)
	stored, errs := d.judge(object)
	if len(errs) > 0 {
		return inWords(errs)
	}
	text, err := json.Marshal(stored)
	if err != nil {
		return []finding{fault("", oneLine(err))}
	}
	switch gvk.Kind {
	case kubeflowv1.Kind:
		return lintJob(text)
	case "PodGroup":
		return lintGroup(text)
	}
	return nil
}

// lintTyped is for a kind that is known by its Go type alone.
func lintTyped(text []byte, t reflect.Type) []finding {
	value := reflect.New(t).Interface()
	if _, err := strictjson.UnmarshalStrict(text, value); err != nil {
		return []finding{undecodable(text, err)}
	}
	switch value := value.(type) {
	case *corev1.Pod:
		findings := lintMemory(&value.Spec, specPath)
		if err := checkPod(value); err != nil {
			findings = append(findings, inWords(field.ErrorList{asFieldError(err)})...)
		}
		return findings
	case *configv1alpha1.LockstepArgs:
		return lintArgs(text, "")
	case *kubeschedulerv1.KubeSchedulerConfiguration:
		return lintScheduler(value)
	}
	return nil
}

func undecodable(text []byte, err error) finding {
	path, message := misplaced(text, err)
	if path == "" {
		path, message = splitPath(message)
	}
	return fault(path, message)
}

// splitPath takes the path of a field off the beginning of a message.
func splitPath(message string) (path, rest string) {
	end := strings.IndexAny(message, ": ")
	if end < 0 || !strings.HasPrefix(message, "spec.") && !strings.HasPrefix(message, "metadata.") {
		return "", message
	}
	return message[:end], strings.TrimLeft(message[end:], ": ")
}

func asFieldError(err error) *field.Error {
	if fault := (*field.Error)(nil); errors.As(err, &fault) {
		return fault
	}
	return &field.Error{Type: field.ErrorTypeInvalid, Detail: err.Error()}
}

// nameIt is what the apiserver does to an object that leaves its name to it.
func nameIt(object map[string]any) {
	metadata, _ := object["metadata"].(map[string]any)
	if begin, ok := metadata["generateName"].(string); ok && metadata["name"] == nil {
		metadata["name"] = begin + "xxxxx"
	}
}

// misnamed is a kind that is nearly one of ours, or one of ours in another version.
func misnamed(gvk schema.GroupVersionKind) (finding, bool) {
	for ours := range lintable {
		switch {
		case ours.Kind == gvk.Kind && ours.Group == gvk.Group:
			f := fault("apiVersion", fmt.Sprintf("%s is not served; did you mean %s?", gvk.GroupVersion(), ours.GroupVersion()))
			f.Suggestion = ours.GroupVersion().String()
			return f, true
		case ours.GroupVersion() == gvk.GroupVersion() && nearest(gvk.Kind, []string{ours.Kind}) != "":
			f := fault("kind", fmt.Sprintf("no kind %s is known; did you mean %s?", gvk.Kind, ours.Kind))
			f.Suggestion = ours.Kind
			return f, true
		}
	}
	return finding{}, false
}
