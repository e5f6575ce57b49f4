package v1

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
)

// RunPolicy says how a run ends and what remains of it.
type RunPolicy struct {
	// CleanPodPolicy says which pods go when the job has ended: All, those that are Running, or None,
	// which is the default.
	//
	// +optional
	CleanPodPolicy *CleanPodPolicy `json:"cleanPodPolicy,omitempty"`

	// TTLSecondsAfterFinished deletes the job so many seconds after its end. Unset: never.
	//
	// +optional
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// ActiveDeadlineSeconds fails the job so many seconds after status.startTime, which a suspension sets anew.
	//
	// +optional
	ActiveDeadlineSeconds *int64 `json:"activeDeadlineSeconds,omitempty"`

	// BackoffLimit is the number of counted restarts that the job survives. Unset: no limit.
	//
	// +optional
	BackoffLimit *int32 `json:"backoffLimit,omitempty"`

	// SchedulingPolicy is handed to the gang scheduler.
	//
	// +optional
	SchedulingPolicy *SchedulingPolicy `json:"schedulingPolicy,omitempty"`

	// Suspend takes the job's pods away, and gives them back when it turns false.
	//
	// +kubebuilder:default=false
	// +optional
	Suspend *bool `json:"suspend,omitempty"`

	// ManagedBy names the controller that runs this job: kubeflow.org/training-operator, which is the
	// default, or kueue.x-k8s.io/multikueue. Immutable.
	//
	// +optional
	ManagedBy *string `json:"managedBy,omitempty"`
}

// The values of ManagedBy.
const (
	ManagedByOperator   = "kubeflow.org/training-operator"
	ManagedByMultiKueue = "kueue.x-k8s.io/multikueue"
)

// CleanPodPolicy says which pods go when the job has ended. Empty means None.
//
// +kubebuilder:validation:Enum=All;Running;None;""
type CleanPodPolicy string

// The clean-up policies.
const (
	CleanAll     CleanPodPolicy = "All"
	CleanRunning CleanPodPolicy = "Running"
	CleanNone    CleanPodPolicy = "None"
)

// SchedulingPolicy becomes the job's PodGroup.
type SchedulingPolicy struct {
	// MinAvailable is the floor of the gang. Default: every pod, or the smallest elastic size.
	//
	// +optional
	MinAvailable *int32 `json:"minAvailable,omitempty"`

	// Queue names a queue. Immutable.
	//
	// +optional
	Queue string `json:"queue,omitempty"`

	// MinResources overrides the sum that is otherwise computed from the pods.
	//
	// +optional
	MinResources *corev1.ResourceList `json:"minResources,omitempty"`

	// PriorityClass is given to pods whose template names none.
	//
	// +optional
	PriorityClass string `json:"priorityClass,omitempty"`

	// ScheduleTimeoutSeconds bounds the wait between the first and the last bind, 1 to 900.
	//
	// +optional
	ScheduleTimeoutSeconds *int32 `json:"scheduleTimeoutSeconds,omitempty"`
}

// ElasticPolicy makes the number of Workers a range.
type ElasticPolicy struct {
	// MinReplicas is the least number of Workers. Default: maxReplicas; where that is missing as well, Worker.replicas.
	//
	// +optional
	MinReplicas *int32 `json:"minReplicas,omitempty"`
	// MaxReplicas is the largest number of Workers. Default: minReplicas; where that is missing as well, Worker.replicas.
	//
	// +optional
	MaxReplicas *int32 `json:"maxReplicas,omitempty"`

	// RDZVBackend is torchrun's --rdzv-backend: c10d, which is the default, etcd, etcd-v2 or static.
	//
	// +optional
	RDZVBackend *string `json:"rdzvBackend,omitempty"`
	// RDZVPort defaults to the Worker's pytorchjob-port.
	//
	// +optional
	RDZVPort *int32 `json:"rdzvPort,omitempty"`
	// RDZVHost defaults to worker-0.
	//
	// +optional
	RDZVHost *string `json:"rdzvHost,omitempty"`
	// RDZVID is torchrun's --rdzv-id.
	//
	// +optional
	RDZVID *string `json:"rdzvId,omitempty"`
	// RDZVConf is torchrun's --rdzv-conf, in order.
	//
	// +optional
	RDZVConf []RDZVConf `json:"rdzvConf,omitempty"`

	// Standalone starts a rendezvous of its own in each pod.
	//
	// +optional
	Standalone *bool `json:"standalone,omitempty"`

	// NProcPerNode is the deprecated position of spec.nprocPerNode.
	//
	// +optional
	NProcPerNode *int32 `json:"nProcPerNode,omitempty"`

	// MaxRestarts is torchrun's --max-restarts. Each peer that is lost costs one; torchrun's default is 0.
	//
	// +optional
	MaxRestarts *int32 `json:"maxRestarts,omitempty"`

	// Metrics make a HorizontalPodAutoscaler for the Workers. They are those of autoscaling/v2.
	//
	// +optional
	Metrics []autoscalingv2.MetricSpec `json:"metrics,omitempty"`
}

// RDZVConf is one key=value of the rendezvous configuration.
type RDZVConf struct {
	// Key of an option of the backend, such as last_call_timeout.
	//
	// +optional
	Key string `json:"key,omitempty"`
	// Value of that option.
	//
	// +optional
	Value string `json:"value,omitempty"`
}
