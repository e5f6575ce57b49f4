package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// PyTorchJob is one distributed training run: a Master, Workers, or both.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:singular=pytorchjob
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.pytorchReplicaSpecs.Worker.replicas,statuspath=.status.replicaStatuses.Worker.active,selectorpath=.status.replicaStatuses.Worker.selector
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.conditions[-1:].type`
// +kubebuilder:printcolumn:name="Workers",type=integer,JSONPath=`.status.progress.workers`,priority=1
// +kubebuilder:printcolumn:name="Asked",type=integer,JSONPath=`.spec.pytorchReplicaSpecs.Worker.replicas`,priority=1
// +kubebuilder:printcolumn:name="Restarts",type=integer,JSONPath=`.status.progress.restarts`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type PyTorchJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   PyTorchJobSpec `json:"spec,omitempty"`
	Status JobStatus      `json:"status,omitempty"`
}

// PyTorchJobList is a list of jobs.
//
// +kubebuilder:object:root=true
type PyTorchJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PyTorchJob `json:"items"`
}

// ReplicaType is a role of pods within a job: Master or Worker.
type ReplicaType string

// The roles, in the order in which their pods are numbered by rank.
const (
	Master ReplicaType = "Master"
	Worker ReplicaType = "Worker"
)

// ReplicaTypes lists the roles in rank order.
func ReplicaTypes() []ReplicaType { return []ReplicaType{Master, Worker} }

// What a pod template must hold, and what is added to it.
const (
	// ContainerName is the container that trains: its exit code and its ports are the pod's.
	ContainerName = "pytorch"
	// SchedulerName is the scheduler of pods whose template names none, unless the controller is told of another.
	SchedulerName = "lockstep"
	// PortName is the port at which the ranks meet.
	PortName = "pytorchjob-port"
	// DefaultPort is used where container pytorch names no port of that name.
	DefaultPort int32 = 23456
)

// PyTorchJobSpec says what to run.
type PyTorchJobSpec struct {
	// PyTorchReplicaSpecs holds an entry for each role: Master, Worker, or both; there are no others.
	//
	// +optional
	PyTorchReplicaSpecs map[ReplicaType]*ReplicaSpec `json:"pytorchReplicaSpecs,omitempty"`

	// RunPolicy says how the run ends, and what remains of it.
	//
	// +optional
	RunPolicy RunPolicy `json:"runPolicy,omitempty"`

	// ElasticPolicy makes the number of Workers a range, for torchrun's elastic mode.
	//
	// +optional
	ElasticPolicy *ElasticPolicy `json:"elasticPolicy,omitempty"`

	// NprocPerNode is the number of processes per pod: auto, cpu, gpu, xpu, or a whole
	// number of at least 1, quoted or not. Default auto.
	//
	// +optional
	NprocPerNode *intstr.IntOrString `json:"nprocPerNode,omitempty"`

	// The four fields below are the positions of older manifests. They are folded into
	// RunPolicy by Effective; RunPolicy wins where both are set.

	// CleanPodPolicy is the old position of runPolicy.cleanPodPolicy, which wins.
	//
	// +optional
	CleanPodPolicy *CleanPodPolicy `json:"cleanPodPolicy,omitempty"`
	// TTLSecondsAfterFinished is the old position of runPolicy.ttlSecondsAfterFinished, which wins.
	//
	// +optional
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
	// ActiveDeadlineSeconds is the old position of runPolicy.activeDeadlineSeconds, which wins.
	//
	// +optional
	ActiveDeadlineSeconds *int64 `json:"activeDeadlineSeconds,omitempty"`
	// BackoffLimit is the old position of runPolicy.backoffLimit, which wins.
	//
	// +optional
	BackoffLimit *int32 `json:"backoffLimit,omitempty"`
}

// ReplicaSpec describes the pods of one role.
type ReplicaSpec struct {
	// Replicas is the number of pods. Default 1; a Master is always one. Of Workers it is what
	// /scale, and with it HPA and KEDA, read and write.
	//
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`

	// Template is the pod to run; it must have a container named pytorch.
	//
	// +optional
	Template corev1.PodTemplateSpec `json:"template,omitempty"`

	// RestartPolicy says what happens when a pod of this role fails. Default OnFailure. ExitCode: a code of
	// 1 to 127 fails the job, one of 128 and above (a signal) has the pod run again. It overrides the
	// template's own restartPolicy.
	//
	// +optional
	RestartPolicy RestartPolicy `json:"restartPolicy,omitempty"`
}

// RestartPolicy of a role.
//
// +kubebuilder:validation:Enum=Always;OnFailure;Never;ExitCode;""
type RestartPolicy string

// The restart policies. ExitCode lets the code decide: 1 to 127 is the program's own,
// permanent failure; 128 and above is a signal, hence worth another try.
const (
	RestartAlways    RestartPolicy = "Always"
	RestartOnFailure RestartPolicy = "OnFailure"
	RestartNever     RestartPolicy = "Never"
	RestartExitCode  RestartPolicy = "ExitCode"
)
