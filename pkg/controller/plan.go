package controller

import (
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// Observed is what is known of one job at one time. Nothing in it is written to.
type Observed struct {
	// Job as it is stored.
	Job *v1.PyTorchJob
	// Pods and Services that the job controls.
	Pods     []*corev1.Pod
	Services []*corev1.Service
	// Gone holds the last sight of Pods that have been deleted since the last decision.
	Gone []*corev1.Pod
	// Failed is since when each failed pod is known to have failed, by UID.
	Failed map[types.UID]time.Time
	// First decision since the controller has started: who went before then has left no sight.
	First bool
	// PodGroup of the job's name, whoever controls it.
	PodGroup *scheduling.PodGroup
	// HPA of the job's name, whoever controls it.
	HPA *autoscalingv2.HorizontalPodAutoscaler
	// Requests for machines and their Templates that the job controls; none where that is off.
	Requests  []*unstructured.Unstructured
	Templates []*corev1.PodTemplate
	// QueueMissing: the job names a queue, and there is none of that name.
	QueueMissing bool
	// Rival is the name of an autoscaler that is not the job's own, yet scales the job.
	Rival string
	// Advice on the size, nil when there is none.
	Advice *Advice
	// Trouble is the last failed creation, nil when there is none.
	Trouble *Trouble
	// Now is the time of the decision.
	Now time.Time
}

// Trouble is a creation or an update that failed. Nothing is tried again before Retry.
type Trouble struct {
	// Reason is that of the event and of the condition.
	Reason, Message string
	Retry           time.Time

	// taken is the object that has a name which the job needs, by kind and name; empty: it was
	// something else.
	taken string
	// quota: a ResourceQuota has no room for the object.
	quota bool
	// kind is of the object. The pods of a job do not wait for its autoscaler.
	kind string
}

// Plan is what is to be done, in the order of its fields.
type Plan struct {
	// Status is the next status; nil when it need not be written.
	Status *v1.JobStatus
	// Events are told once the status has been written.
	Events []Event
	// Delete these objects.
	Delete []Deletion
	// DeleteJob with everything that it owns.
	DeleteJob bool
	// Patch these objects.
	Patch []Patch
	// Probe asks the apiserver whether it would take these pods, before anything is created.
	Probe []*corev1.Pod
	// Create these objects in this order; the first failure ends it.
	Create []client.Object
	// Wake is when to decide again if nothing happens; zero: never.
	Wake time.Time
}

// Event is something to tell the user about the job.
type Event struct{ Type, Reason, Message string }

// Deletion of an object. Grace is in seconds; nil leaves it to the object.
type Deletion struct {
	Object client.Object
	Grace  *int64
}

// Patch turns an observed object into a wanted one.
type Patch struct{ From, To client.Object }

// Settings are the same for every job.
type Settings struct {
	// SchedulerName is given to pods that name no scheduler.
	SchedulerName string
	// InitContainer makes the container that Workers wait in for their Master; nil: none.
	InitContainer func(master string) corev1.Container
	// StaticRendezvous gives Workers-only jobs addresses and ranks without being asked.
	StaticRendezvous bool
	// ProvisioningClass makes ProvisioningRequests of this class; empty: none.
	ProvisioningClass string
	// LegacyLabels adds the labels of the pytorch-operator era to pods.
	LegacyLabels bool
	// MaxGangSize is the largest number of pods of a job.
	MaxGangSize int32
	// ForceDeleteAfter is how long a pod may stay past its grace period.
	ForceDeleteAfter time.Duration
}

// DefaultSettings is what the command's flags say by default.
func DefaultSettings() Settings {
	return Settings{
		SchedulerName:    v1.SchedulerName,
		InitContainer:    InitContainer(DefaultInitImage, DefaultInitTries),
		MaxGangSize:      5000,
		ForceDeleteAfter: 5 * time.Minute,
	}
}
