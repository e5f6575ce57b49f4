package manifests

import (
	"path/filepath"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const root = "../.."

// render renders once for all tests; they do not change what they are given.
var render = sync.OnceValues(func() ([]unstructured.Unstructured, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "manifests"))
	if err != nil {
		return nil, err
	}
	var objects []unstructured.Unstructured
	for _, resource := range resources.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			return nil, err
		}
		var object unstructured.Unstructured
		if err := yaml.Unmarshal(text, &object.Object); err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
})

// rendered is the whole installation, as "kubectl apply -k manifests" sends it.
func rendered(t *testing.T) []unstructured.Unstructured {
	t.Helper()
	objects, err := render()
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// ofKind are the rendered objects of one kind as values of their type; strict, so
// that a field in the wrong place fails here rather than being dropped by a cluster.
func ofKind[T any](t *testing.T, kind string) []T {
	t.Helper()
	var list []T
	for _, object := range rendered(t) {
		if object.GetKind() != kind {
			continue
		}
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		var value T
		if err := yaml.UnmarshalStrict(text, &value); err != nil {
			t.Fatalf("%s %s: %v", kind, object.GetName(), err)
		}
		list = append(list, value)
	}
	if len(list) == 0 {
		t.Fatalf("the installation has no %s", kind)
	}
	return list
}

// Everything lives in Lockstep's namespace, apart from one binding that has to be
// where its role is.
func TestEachObjectIsInItsNamespace(t *testing.T) {
	clusterWide := map[string]bool{
		"Namespace": true, "CustomResourceDefinition": true, "ClusterRole": true, "ClusterRoleBinding": true,
		"ValidatingAdmissionPolicy": true, "ValidatingAdmissionPolicyBinding": true,
	}
	for _, object := range rendered(t) {
		want := "lockstep-system"
		switch {
		case clusterWide[object.GetKind()]:
			want = ""
		case object.GetKind() == "RoleBinding" && object.GetName() == "lockstep-scheduler-authentication-reader":
			want = "kube-system"
		}
		if object.GetNamespace() != want {
			t.Errorf("%s %s is in namespace %q, want %q", object.GetKind(), object.GetName(), object.GetNamespace(), want)
		}
	}
}
