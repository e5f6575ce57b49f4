// Package v1alpha1 is the Queue API, lockstep.dev/v1alpha1: a share of the cluster for
// the gangs of some namespaces.
//
// A quota for one namespace can be written as an ElasticQuota of scheduler-plugins; a
// Queue says what that cannot: parts of parts, a type of GPU, a weight, several
// namespaces in one queue, several queues for one namespace.
//
// It owns the Go types alone; pkg/kube translates them, pkg/quota decides by them.
//
// +kubebuilder:object:generate=true
// +groupName=lockstep.dev
package v1alpha1
