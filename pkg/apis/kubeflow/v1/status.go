package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// JobStatus is what the controller has seen of a job.
type JobStatus struct {
	// Conditions: the last one is the job's current state, and its status is True. The
	// others stand before it in the order of a job's life.
	//
	// +optional
	Conditions []JobCondition `json:"conditions,omitempty"`

	// ReplicaStatuses counts the pods of each role.
	//
	// +optional
	ReplicaStatuses map[ReplicaType]*ReplicaStatus `json:"replicaStatuses,omitempty"`

	// StartTime is the first status write, or the last resume.
	//
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// CompletionTime is set on every end.
	//
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// LastReconcileTime is the time of the last status write.
	//
	// +optional
	LastReconcileTime *metav1.Time `json:"lastReconcileTime,omitempty"`

	// Progress is what must outlive the pods.
	//
	// +optional
	Progress *Progress `json:"progress,omitempty"`
}

// JobCondition is one state that a job is or was in.
type JobCondition struct {
	// Type is the state: Created, Running, Restarting, Suspended, Succeeded, Failed, or one that tells of trouble.
	Type JobConditionType `json:"type"`
	// Status is True while the job is in that state.
	Status corev1.ConditionStatus `json:"status"`
	// Reason for the last change, in one word.
	//
	// +optional
	Reason string `json:"reason,omitempty"`
	// Message is the reason in a sentence.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// LastUpdateTime is when anything in the condition changed.
	//
	// +optional
	LastUpdateTime metav1.Time `json:"lastUpdateTime,omitempty"`
	// LastTransitionTime is when Status changed.
	//
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
}

// JobConditionType names a state.
type JobConditionType string

// The states that every PyTorchJob controller knows.
const (
	JobCreated    JobConditionType = "Created"
	JobRunning    JobConditionType = "Running"
	JobRestarting JobConditionType = "Restarting"
	JobSuspended  JobConditionType = "Suspended"
	JobSucceeded  JobConditionType = "Succeeded"
	JobFailed     JobConditionType = "Failed"
)

// States of our own, which appear only while something is wrong.
const (
	// JobInvalid: the job cannot be run as it is; its message says why.
	JobInvalid JobConditionType = "Invalid"
	// JobCreateFailed: an object of the job could not be created or changed; it is tried again.
	JobCreateFailed JobConditionType = "CreateFailed"
	// JobSidecarRuns: a pod goes on although its program has ended.
	JobSidecarRuns JobConditionType = "SidecarRuns"
)

// ReplicaStatus counts the pods of one role. Pods that the controller deletes count nowhere.
type ReplicaStatus struct {
	// Active pods are in phase Running.
	//
	// +optional
	Active int32 `json:"active,omitempty"`
	// Succeeded pods have ended well, also if they have been deleted since.
	//
	// +optional
	Succeeded int32 `json:"succeeded,omitempty"`
	// Failed pods are in phase Failed.
	//
	// +optional
	Failed int32 `json:"failed,omitempty"`

	// LabelSelector is the deprecated form of Selector; read, never written.
	//
	// +optional
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`

	// Selector selects the pods of this role, as a string; autoscalers read it through /scale.
	//
	// +optional
	Selector string `json:"selector,omitempty"`
}

// Progress is the controller's memory of pods that may be gone. Sets of pods are
// written as their indexes within a role, such as "0,3-7".
type Progress struct {
	// Restarts is the number of restarts that count against backoffLimit since the start
	// or the last resume. It is written at 0 as well, for the column.
	//
	// +optional
	Restarts int32 `json:"restarts"`

	// Counted says, by pod UID, how many restarts of a present pod are in Restarts already;
	// -1 marks a pod whose end is accounted for and that is being replaced.
	//
	// +optional
	Counted map[string]int32 `json:"counted,omitempty"`

	// Incident is the last death that others may be a consequence of.
	//
	// +optional
	Incident *Incident `json:"incident,omitempty"`

	// Crashes counts the pods in a row that were replaced because their program failed
	// soon after its start.
	//
	// +optional
	Crashes int32 `json:"crashes,omitempty"`

	// Completed are the pods that have succeeded; they aren't run again when they are deleted.
	//
	// +optional
	Completed map[ReplicaType]string `json:"completed,omitempty"`

	// Generation is the job's when it was last looked at.
	//
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// Templates is a hash of the job's pod templates at that time.
	//
	// +optional
	Templates string `json:"templates,omitempty"`

	// Replacing are the pods whose replacement does not run yet.
	//
	// +optional
	Replacing map[ReplicaType]string `json:"replacing,omitempty"`

	// Stopped is set when the job ended at a limit (deadline, backoff): its pods are
	// stopped whatever cleanPodPolicy says.
	//
	// +optional
	Stopped bool `json:"stopped,omitempty"`

	// Workers is the number of Workers in effect of an elastic job. It differs from
	// Worker.replicas while a resize waits, or where that number is not allowed.
	//
	// +optional
	Workers *int32 `json:"workers,omitempty"`

	// Asked is what Worker.replicas was when the cluster's recommender took over, which
	// writes that number from then on.
	//
	// +optional
	Asked *int32 `json:"asked,omitempty"`

	// Granted is there while the job has fewer Workers than it asks for, because others
	// needed their room.
	//
	// +optional
	Granted *Grant `json:"granted,omitempty"`

	// Provisioning is there when a request for machines has failed and is made again.
	//
	// +optional
	Provisioning *Provisioning `json:"provisioning,omitempty"`

	// Resizes counts the changes of Workers since the start or the last resume.
	//
	// +optional
	Resizes int32 `json:"resizes,omitempty"`
	// LastResize is the time of the last of them.
	//
	// +optional
	LastResize *metav1.Time `json:"lastResize,omitempty"`

	// Checkpoint is what the job has told the cluster's recommender of those that it writes.
	//
	// +optional
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"`
}

// Checkpoint is the last one that a job has told of.
type Checkpoint struct {
	// Last is when it was written, or the job went on from it.
	Last metav1.Time `json:"last"`

	// EverySeconds is the time between the last two; 0: it is not known yet.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	EverySeconds int64 `json:"everySeconds,omitempty"`
}

// IsZero is true when there is nothing to remember.
func (p *Progress) IsZero() bool {
	return p.Restarts == 0 && p.Crashes == 0 && len(p.Counted) == 0 && p.Incident == nil && len(p.Completed) == 0 &&
		len(p.Replacing) == 0 && p.Generation == 0 && p.Templates == "" && !p.Stopped && p.Workers == nil && p.Asked == nil && p.Granted == nil && p.Provisioning == nil && p.Resizes == 0 && p.LastResize == nil &&
		p.Checkpoint == nil
}

// Incident is a death that others may be a consequence of: peers of a distributed
// job fail when one of them goes.
type Incident struct {
	// At is when it happened.
	At metav1.Time `json:"at"`

	// Code is the exit code; 0 where the program was not the cause (eviction, lost node).
	//
	// +optional
	Code int32 `json:"code,omitempty"`

	// Fallen are the pods that have fallen in it. One that falls again does so for another reason.
	//
	// +optional
	Fallen map[ReplicaType]string `json:"fallen,omitempty"`
}

// Grant limits the Workers of an elastic job beside Worker.replicas, which has one writer.
type Grant struct {
	// Workers is the most that are run.
	Workers int32 `json:"workers"`

	// Since is when the limit came.
	Since metav1.Time `json:"since"`

	// Reason says who needed the room.
	//
	// +optional
	Reason string `json:"reason,omitempty"`
}

// Provisioning is the back-off of requests for machines.
type Provisioning struct {
	// Attempts have ended without machines.
	Attempts int32 `json:"attempts"`

	// Retry is when the next one begins.
	Retry metav1.Time `json:"retry"`
}
