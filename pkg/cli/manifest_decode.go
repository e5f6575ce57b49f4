package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	strictjson "sigs.k8s.io/json"
	schedulingv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/kube"
)

// declared is an object of a manifest with where it stands.
type declared struct {
	document
	kind   string
	object metav1.Object
	status kube.GroupStatus // of a pod group, with the conditions that its type lacks
	notes  []string
}

// name is the object as messages name it: "Pod default/worker-0".
func (d declared) name() string {
	if d.object.GetNamespace() == "" {
		return strings.TrimSpace(d.kind + " " + d.object.GetName())
	}
	return d.kind + " " + d.object.GetNamespace() + "/" + d.object.GetName()
}

// fault is an error in the object, with its place before it.
func (d declared) fault(err error) error { return fmt.Errorf("%s: %s: %w", d.where(), d.name(), err) }

func (d declared) note(format string, args ...any) string {
	return d.where() + ": " + d.name() + ": " + fmt.Sprintf(format, args...)
}

// readable are the kinds that decide where gangs go, and the version in which they are read.
var readable = map[string]struct {
	apiVersion string
	namespaced bool
	empty      func() metav1.Object
}{
	"Node":                {"v1", false, func() metav1.Object { return &corev1.Node{} }},
	"Pod":                 {"v1", true, func() metav1.Object { return &corev1.Pod{} }},
	"PriorityClass":       {"scheduling.k8s.io/v1", false, func() metav1.Object { return &schedulingv1.PriorityClass{} }},
	"PodDisruptionBudget": {"policy/v1", true, func() metav1.Object { return &policyv1.PodDisruptionBudget{} }},
	"PodGroup":            {"scheduling.x-k8s.io/v1alpha1", true, func() metav1.Object { return &schedulingv1alpha1.PodGroup{} }},
	"ElasticQuota":        {"scheduling.x-k8s.io/v1alpha1", true, func() metav1.Object { return &schedulingv1alpha1.ElasticQuota{} }},
	lockstepv1alpha1.Kind: {"lockstep.dev/v1alpha1", false, func() metav1.Object { return &lockstepv1alpha1.Queue{} }},
	kubeflowv1.Kind:       {"kubeflow.org/v1", true, func() metav1.Object { return &kubeflowv1.PyTorchJob{} }},
}

// decodeManifests reads the objects of manifests, in their order. Kinds that have no
// bearing on placement are passed over with a note. Objects without a namespace get
// the one given.
func decodeManifests(names []string, stdin io.Reader, namespace string) (objects []declared, notes []string, err error) {
	documents, err := readManifests(names, stdin)
	if err != nil {
		return nil, nil, err
	}
	type result struct {
		objects []declared
		notes   []string
	}
	results := make([]result, len(documents))
	err = each(len(documents), func(i int) error {
		values, err := documents[i].jsons()
		if err != nil {
			return err
		}
		for _, value := range values {
			doc := documents[i]
			doc.text = value
			found, notes, err := doc.decode(namespace)
			if err != nil {
				return err
			}
			results[i].objects = append(results[i].objects, found...)
			results[i].notes = append(results[i].notes, notes...)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]document{}
	for _, r := range results {
		notes = append(notes, r.notes...)
		for _, object := range r.objects {
			if first, again := seen[object.name()]; again {
				return nil, nil, object.fault(fmt.Errorf("metadata.name: is in %s already", first.where()))
			}
			seen[object.name()] = object.document
			objects = append(objects, object)
			notes = append(notes, object.notes...)
		}
	}
	return objects, notes, nil
}

// decode reads a JSON document: one object, or a list of them.
func (d document) decode(namespace string) ([]declared, []string, error) {
	var head struct {
		metav1.TypeMeta
		Metadata struct{ Name, Namespace string }
		Status   json.RawMessage
		Items    []json.RawMessage
	}
	if !bytes.HasPrefix(d.text, []byte("{")) {
		return nil, nil, fmt.Errorf("%s: is no Kubernetes object, which begins with apiVersion and kind", d.where())
	}
	if err := json.Unmarshal(d.text, &head); err != nil {
		return nil, nil, fmt.Errorf("%s: is no Kubernetes object: %s", d.where(), faultIn(d.text, err))
	}
	switch {
	case head.Kind == "":
		return nil, nil, fmt.Errorf("%s: kind: must be given", d.where())
	case head.APIVersion == "":
		return nil, nil, fmt.Errorf("%s: %s %s: apiVersion: must be given", d.where(), head.Kind, head.Metadata.Name)
	case strings.HasSuffix(head.Kind, "List"):
		return d.decodeItems(head.Items, head.Kind, head.APIVersion, namespace)
	}
	kind, known := readable[head.Kind]
	if !known || kind.apiVersion != head.APIVersion {
		return nil, []string{d.skipped(head.Kind, head.APIVersion, head.Metadata.Name)}, nil
	}
	object := declared{document: d, kind: head.Kind, object: kind.empty()}
	object.text = nil
	unknown, err := strictjson.UnmarshalStrict(d.text, object.object)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %s %s: %s", d.where(), head.Kind, head.Metadata.Name, faultIn(d.text, err))
	}
	switch {
	case !kind.namespaced:
		object.object.SetNamespace("")
	case object.object.GetNamespace() == "":
		object.object.SetNamespace(namespace)
	}
	if object.object.GetName() == "" {
		return nil, nil, object.fault(field.Required(field.NewPath("metadata", "name"), "tells objects apart"))
	}
	if head.Kind == "PodGroup" && head.Status != nil {
		if err := json.Unmarshal(head.Status, &object.status); err != nil {
			return nil, nil, object.fault(fmt.Errorf("status: %s", oneLine(err)))
		}
	}
	for _, problem := range unknown {
		if text := problem.Error(); !strings.Contains(text, `"status.`) { // other versions have other statuses
			object.notes = append(object.notes, object.note("%s", text))
		}
	}
	return []declared{object}, nil, nil
}

// decodeItems reads a list, whose items may leave their kind to it.
func (d document) decodeItems(items []json.RawMessage, kind, apiVersion, namespace string) (list []declared, notes []string, err error) {
	for i, item := range items {
		doc := d
		doc.item, doc.text = i, item
		if kind != "List" {
			doc.text = typed(item, strings.TrimSuffix(kind, "List"), apiVersion)
		}
		objects, said, err := doc.decode(namespace)
		if err != nil {
			return nil, nil, err
		}
		list, notes = append(list, objects...), append(notes, said...)
	}
	return list, notes, nil
}

// typed gives an object its kind if it has none.
func typed(item json.RawMessage, kind, apiVersion string) json.RawMessage {
	var head metav1.TypeMeta
	var object map[string]json.RawMessage
	if json.Unmarshal(item, &head) != nil || head.Kind != "" || json.Unmarshal(item, &object) != nil || object == nil {
		return item
	}
	object["kind"], _ = json.Marshal(kind)
	object["apiVersion"], _ = json.Marshal(apiVersion)
	if out, err := json.Marshal(object); err == nil {
		return out
	}
	return item
}

// skipped says why an object is passed over.
func (d document) skipped(kind, apiVersion, name string) string {
	if known, ok := readable[kind]; ok {
		return fmt.Sprintf("%s: %s %s: apiVersion: is %s; only those of %s are read", d.where(), kind, name, apiVersion, known.apiVersion)
	}
	return fmt.Sprintf("%s: %s %s: passed over, it does not decide where gangs go", d.where(), kind, name)
}

// faultIn says what is wrong with an object that could not be decoded, after the path of the field.
func faultIn(text []byte, err error) string {
	path, message := misplaced(text, err)
	if path == "" {
		return message
	}
	return path + ": " + message
}

// ofWrongType is what the decoder says of a value that has no place in its field.
var ofWrongType = regexp.MustCompile(`^cannot unmarshal (\S+)(?: (\S+))? into Go struct field [^.]*\.(\S+) of type (\S+)$`)

// misplaced says what is wrong with an object that could not be decoded, and in which field. The
// decoder's message has no path where a quantity is at fault, so those are looked for here.
func misplaced(text []byte, err error) (path, message string) {
	var object any
	if json.Unmarshal(text, &object) == nil {
		if fault := badQuantity(object, nil, false); fault != nil {
			return fault.Field, fault.ErrorBody()
		}
	}
	message = strings.TrimPrefix(oneLine(err), "json: ")
	m := ofWrongType.FindStringSubmatch(message)
	if m == nil {
		return "", message
	}
	is, wants := cmp.Or(m[2], typeNames[m[1]], m[1]), cmp.Or(typeNames[m[4]], "of type "+m[4])
	if m[1] == "number" {
		wants = cmp.Or(wholeNumbers[m[4]], wants)
	}
	return m[3], fmt.Sprintf("must be %s, not %s", wants, is)
}

// quantityLists are the fields whose values are quantities by name.
var quantityLists = map[string]bool{
	"requests": true, "limits": true, "allocatable": true, "capacity": true, "overhead": true, "minResources": true,
}

func badQuantity(value any, path *field.Path, amounts bool) *field.Error {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range sortedKeys(value) {
			child := field.NewPath(key)
			switch {
			case amounts:
				child = path.Key(key)
			case path != nil:
				child = path.Child(key)
			}
			if fault := badQuantity(value[key], child, quantityLists[key]); fault != nil {
				return fault
			}
			if !amounts {
				continue
			}
			if _, err := resource.ParseQuantity(fmt.Sprint(value[key])); err != nil {
				return field.Invalid(child, value[key], "is no quantity, such as 8, 500m or 16Gi")
			}
		}
	case []any:
		for i := range value {
			if fault := badQuantity(value[i], path.Index(i), false); fault != nil {
				return fault
			}
		}
	}
	return nil
}
