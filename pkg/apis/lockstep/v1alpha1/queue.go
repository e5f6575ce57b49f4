package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Names of the API.
const (
	GroupName = "lockstep.dev"
	Kind      = "Queue"
	Plural    = "queues"
)

var (
	// GroupVersion is lockstep.dev/v1alpha1.
	GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

	// Queues is the resource.
	Queues = GroupVersion.WithResource(Plural)

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme adds the types of this package to a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &Queue{}, &QueueList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}

// Queue is a share of the cluster. It is cluster-scoped: who may write one decides over
// the shares of others.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,path=queues,singular=queue,shortName=lsq
// +kubebuilder:printcolumn:name="Parent",type=string,JSONPath=`.spec.parent`
// +kubebuilder:printcolumn:name="Weight",type=integer,JSONPath=`.spec.weight`
// +kubebuilder:printcolumn:name="Valid",type=string,JSONPath=`.status.conditions[?(@.type=="Valid")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="!has(self.spec.parent) || self.spec.parent != self.metadata.name",message="must be another queue",fieldPath=".spec.parent",reason=FieldValueInvalid
type Queue struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec QueueSpec `json:"spec"`
	// +optional
	Status QueueStatus `json:"status,omitempty"`
}

// QueueSpec is what the queue is guaranteed, where it ends, and whom it is for.
type QueueSpec struct {
	// Parent is the queue that this one is a part of; without one it is a part of the
	// cluster.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Parent string `json:"parent,omitempty"`

	// Namespaces whose gangs are in this queue, unless they name another one by the
	// label lockstep.dev/queue. A namespace may be in several queues.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MaxLength=63
	Namespaces []string `json:"namespaces,omitempty"`

	// Weight among its siblings when they borrow what others leave; 1 without one.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65536
	Weight int64 `json:"weight,omitempty"`

	// Resources with a guarantee or a cap. Others have neither.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Resources []QueueResource `json:"resources,omitempty"`
}

// QueueResource is a guarantee and a cap for one resource, or for one type of GPU.
//
// +kubebuilder:validation:XValidation:rule="!has(self.guaranteed) || !quantity(string(self.guaranteed)).isLessThan(quantity('0'))",message="must not be negative",fieldPath=".guaranteed",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="!has(self.cap) || !quantity(string(self.cap)).isLessThan(quantity('0'))",message="must not be negative",fieldPath=".cap",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="!has(self.guaranteed) || !has(self.cap) || !quantity(string(self.guaranteed)).isGreaterThan(quantity(string(self.cap)))",message="must not be above the cap",fieldPath=".guaranteed",reason=FieldValueInvalid
type QueueResource struct {
	// Name of the resource, such as cpu or nvidia.com/gpu.
	Name corev1.ResourceName `json:"name"`

	// Model is the type of GPU that this is about, as the nodes' label
	// nvidia.com/gpu.product has it; without one it is about all types together.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Model string `json:"model,omitempty"`

	// Guaranteed is what the queue gets back from those who borrow it; without one nothing.
	//
	// +optional
	Guaranteed *resource.Quantity `json:"guaranteed,omitempty"`

	// Cap is the most that the queue may hold; without one there is none.
	//
	// +optional
	Cap *resource.Quantity `json:"cap,omitempty"`
}

// QueueStatus is what the scheduler says of the queue.
type QueueStatus struct {
	// Conditions has one, Valid: whether the queue counts as it is written, and if not
	// what is wrong with it.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// History is what the queue has borrowed of late. It is written seldom, for the next
	// scheduler to go on with.
	//
	// +optional
	History *QueueHistory `json:"history,omitempty"`
}

// QueueHistory is a mean of what a queue has borrowed, over a past that counts less the
// longer ago it is.
type QueueHistory struct {
	// At is when it was so.
	At metav1.Time `json:"at"`
	// Borrowed is a share of the cluster, in billionths.
	//
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000000
	Borrowed int64 `json:"borrowed"`
}

// QueueList is a list of queues.
//
// +kubebuilder:object:root=true
type QueueList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Queue `json:"items"`
}
