package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Names of the API.
const (
	GroupName = "kubeflow.org"
	Kind      = "PyTorchJob"
	Plural    = "pytorchjobs"
)

var (
	// GroupVersion is kubeflow.org/v1.
	GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1"}

	// GroupVersionKind is that of a PyTorchJob.
	GroupVersionKind = GroupVersion.WithKind(Kind)

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme adds the types of this package to a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &PyTorchJob{}, &PyTorchJobList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
