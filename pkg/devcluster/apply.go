package devcluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"lockstep.dev/lockstep/manifests"
)

const (
	systemNamespace = "lockstep-system"
	fieldManager    = "lockstep-devcluster"
)

var crdKind = schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}

// applyManifests installs Lockstep as manifests/kustomization.yaml does, but for
// the Deployments, whose programs run as sub-processes here.
func (c *Cluster) applyManifests(ctx context.Context) error {
	objects, err := installation(manifests.Files)
	if err != nil {
		return err
	}
	w, err := newWriter(c.config)
	if err != nil {
		return fmt.Errorf("manifests: %w", err)
	}
	for _, object := range objects {
		// The apiserver may still be making the namespaces that it starts with.
		err := await(ctx, c.apiServer, "manifests", func(ctx context.Context) error { return w.apply(ctx, object) })
		if err != nil {
			return err
		}
	}
	for _, object := range objects {
		if object.GroupVersionKind().GroupKind() != crdKind {
			continue
		}
		err := await(ctx, c.apiServer, "manifests", func(ctx context.Context) error { return w.established(ctx, object.GetName()) })
		if err != nil {
			return err
		}
	}
	return nil
}

// installation reads the objects that kustomization.yaml lists, in its order,
// Deployments left out.
func installation(files fs.FS) ([]*unstructured.Unstructured, error) {
	text, err := fs.ReadFile(files, "kustomization.yaml")
	if err != nil {
		return nil, fmt.Errorf("manifests: %w", err)
	}
	var list struct {
		Resources []string `json:"resources"`
	}
	if err := yaml.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("manifests/kustomization.yaml: %w", err)
	}
	var all []*unstructured.Unstructured
	for _, name := range list.Resources {
		text, err := fs.ReadFile(files, path.Clean(name))
		if err != nil {
			return nil, fmt.Errorf("manifests/kustomization.yaml names a file that is not there: %w", err)
		}
		objects, err := decodeYAML(text)
		if err != nil {
			return nil, fmt.Errorf("manifests/%s: %w", name, err)
		}
		for _, object := range objects {
			if object.GetKind() != "Deployment" {
				all = append(all, object)
			}
		}
	}
	return all, nil
}

// decodeYAML reads the documents of a file.
func decodeYAML(text []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// writer writes objects of any kind.
type writer struct {
	client dynamic.Interface
	kinds  meta.RESTMapper
}

func newWriter(config *rest.Config) (*writer, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	discover, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	groups, err := restmapper.GetAPIGroupResources(discover)
	if err != nil {
		return nil, err
	}
	return &writer{client: client, kinds: restmapper.NewDiscoveryRESTMapper(groups)}, nil
}

// apply writes one object as the server merges it.
func (w *writer) apply(ctx context.Context, object *unstructured.Unstructured) error {
	kind := object.GroupVersionKind()
	mapping, err := w.kinds.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	_, err = w.client.Resource(mapping.Resource).Namespace(object.GetNamespace()).
		Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

// established says whether the apiserver serves a custom resource.
func (w *writer) established(ctx context.Context, name string) error {
	object, err := w.client.Resource(apiextensions.SchemeGroupVersion.WithResource("customresourcedefinitions")).
		Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	var crd apiextensions.CustomResourceDefinition
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &crd); err != nil {
		return err
	}
	for _, condition := range crd.Status.Conditions {
		if condition.Type == apiextensions.Established && condition.Status == apiextensions.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("custom resource %s is not established", name)
}
