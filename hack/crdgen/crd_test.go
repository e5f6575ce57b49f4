package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"sigs.k8s.io/yaml"
)

// clientSideLimit is the size of the annotation that "kubectl apply" keeps the object in.
const clientSideLimit = 262144

// load reads a shipped definition as the apiserver holds it.
func load(t *testing.T, name string) (*apiextensions.CustomResourceDefinition, []byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "manifests", "crd", name))
	if err != nil {
		t.Fatal(err)
	}
	versioned := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(text, versioned); err != nil {
		t.Fatal(err)
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(versioned)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&versioned.Spec)
	crd := &apiextensions.CustomResourceDefinition{}
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(versioned, crd, nil); err != nil {
		t.Fatal(err)
	}
	crd.Status.StoredVersions = []string{crd.Spec.Versions[0].Name}
	return crd, text
}

// TestDefinitions: the apiserver takes each definition (the estimated cost of its
// rules is part of that), and "kubectl apply" can hold it.
func TestDefinitions(t *testing.T) {
	for name := range finishers {
		crd, text := load(t, name)
		for _, err := range validation.ValidateCustomResourceDefinition(t.Context(), crd) {
			t.Errorf("%s: %v", name, err)
		}
		json, err := yaml.YAMLToJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		if len(json) > clientSideLimit/2 {
			t.Errorf("%s: %d bytes as JSON, more than half of what client-side apply can hold", name, len(json))
		}
	}
}

// TestExplained: "kubectl explain" says something of each field of a job that is not a pod's or a metric's.
func TestExplained(t *testing.T) {
	for path, ours := range map[string][]string{
		"spec":                       {"pytorchReplicaSpecs", "elasticPolicy", "runPolicy", "nprocPerNode", "backoffLimit"},
		"spec.runPolicy":             {"suspend", "cleanPodPolicy", "schedulingPolicy", "managedBy"},
		"spec.elasticPolicy":         {"minReplicas", "maxReplicas", "rdzvId", "metrics"},
		"spec.pytorchReplicaSpecs.*": {"replicas", "restartPolicy", "template"},
		"status":                     {"conditions", "replicaStatuses", "progress"},
	} {
		schema := property(original(t, "kubeflow.org_pytorchjobs.yaml"), path)
		for _, name := range ours {
			if schema.Properties[name].Description == "" {
				t.Errorf("%s.%s has no description", path, name)
			}
		}
	}
}

// original is the schema of a shipped definition.
func original(t *testing.T, name string) *apiextensionsv1.JSONSchemaProps {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "manifests", "crd", name))
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(text, crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// judge answers as the apiserver does: what is wrong with an object, given the one
// that it replaces (nil on create).
type judge func(object, old map[string]any) string

func newJudge(t *testing.T, name string) judge {
	t.Helper()
	crd, _ := load(t, name)
	schema := crd.Spec.Validation
	if schema == nil {
		schema = crd.Spec.Versions[0].Schema
	}
	structure, err := structural.NewStructural(schema.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	validator, _, err := schemavalidation.NewSchemaValidator(schema.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	rules := cel.NewValidator(structure, true, celconfig.PerCallLimit)
	return func(object, old map[string]any) string {
		var before any
		var changed []cel.Option
		errs := schemavalidation.ValidateCustomResource(nil, object, validator)
		if old != nil {
			before = old
			defaulting.Default(object, structure) // of lists, which entry was which shows by keys that have defaults
			defaulting.Default(old, structure)
			correlated := common.NewCorrelatedObject(object, old, &model.Structural{Structural: structure})
			errs = schemavalidation.ValidateCustomResourceUpdate(nil, object, old, validator, schemavalidation.WithRatcheting(correlated))
			changed = append(changed, cel.WithRatcheting(correlated))
		}
		broken, _ := rules.Validate(t.Context(), nil, structure, object, before, celconfig.RuntimeCELCostBudget, changed...)
		texts := make([]string, 0, len(errs)+len(broken))
		for _, err := range append(errs, broken...) {
			texts = append(texts, err.Error())
		}
		return strings.Join(texts, "\n")
	}
}
