package v1

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
)

// RunPolicy says how a run ends and what remains of it.
type RunPolicy struct {
	// CleanPodPolicy says which pods go when the job has ended. Default None.
	//
	// +optional
	CleanPodPolicy *CleanPodPolicy `json:"cleanPodPolicy,omitempty"`

	// TTLSecondsAfterFinished deletes the job so many seconds after its end. Unset: never.
	//
	// +optional
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// ActiveDeadlineSeconds fails the job so many seconds after its start time.
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

	// ManagedBy names the controller that runs this job. Immutable.
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
	// MinReplicas and MaxReplicas bound the Workers. One missing equals the other; both
	// missing equal Worker.replicas.
	//
	// +optional
	MinReplicas *int32 `json:"minReplicas,omitempty"`
	// +optional
	MaxReplicas *int32 `json:"maxReplicas,omitempty"`

	// RDZVBackend is torchrun's --rdzv-backend. Default c10d.
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

	// MaxRestarts is torchrun's --max-restarts.
	//
	// +optional
	MaxRestarts *int32 `json:"maxRestarts,omitempty"`

	// Metrics make a HorizontalPodAutoscaler for the Workers.
	//
	// +optional
	Metrics []autoscalingv2.MetricSpec `json:"metrics,omitempty"`
}

// RDZVConf is one key=value of the rendezvous configuration.
type RDZVConf struct {
	// +optional
	Key string `json:"key,omitempty"`
	// +optional
	Value string `json:"value,omitempty"`
}
