package controller

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// documented are the manifests that a page of the documentation shows.
func documented(t *testing.T, page string) []*unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	for _, block := range yamlBlock.FindAllSubmatch(text, -1) {
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(block[1], &object.Object); err != nil {
			t.Fatalf("%s: %v", page, err)
		}
		objects = append(objects, object)
	}
	return objects
}

// TestLiveDocs: the apiserver takes every manifest of the pages, with strict fields, and those of
// foreign kinds speak of a job as they have to. (That of a ProvisioningRequest: TestLiveProvisioning.)
func TestLiveDocs(t *testing.T) {
	l := newLive(t)
	for _, page := range []string{"elastic.md", "autoscaling.md"} {
		for _, object := range documented(t, page) {
			switch object.GetKind() {
			case "ScaledObject":
				target, _, err := unstructured.NestedStringMap(object.Object, "spec", "scaleTargetRef")
				if err != nil || target["kind"] != v1.Kind || target["apiVersion"] != v1.GroupVersion.String() {
					t.Errorf("%s: it scales %v, %v", page, target, err)
				}
			case ProvisioningRequestKind.Kind:
			default:
				object.SetNamespace(l.namespace)
				if err := l.client.Create(l.ctx, object, client.DryRunAll, client.FieldValidation("Strict")); err != nil {
					t.Errorf("%s: %s %s: %v", page, object.GetKind(), object.GetName(), err)
				}
			}
		}
	}
}
