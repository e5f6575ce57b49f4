package controller

import (
	"fmt"
	"strconv"
	"strings"

	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// Labels of pods and Services. Tools outside find a job's pods and logs by them.
const (
	LabelJobName      = "training.kubeflow.org/job-name"
	LabelOperatorName = "training.kubeflow.org/operator-name"
	LabelReplicaType  = "training.kubeflow.org/replica-type"
	LabelReplicaIndex = "training.kubeflow.org/replica-index"
	LabelJobRole      = "training.kubeflow.org/job-role"
	LabelPodGroup     = scheduling.PodGroupLabel

	// OperatorName is the value of LabelOperatorName.
	OperatorName = "pytorchjob-controller"
)

// jobLabels are on what belongs to the job as a whole.
func jobLabels(job string) map[string]string {
	return map[string]string{LabelJobName: job, LabelOperatorName: OperatorName}
}

// memberLabels select exactly one pod of a job.
func memberLabels(job string, role v1.ReplicaType, index int32) map[string]string {
	return map[string]string{
		LabelJobName:      job,
		LabelOperatorName: OperatorName,
		LabelReplicaType:  strings.ToLower(string(role)),
		LabelReplicaIndex: strconv.Itoa(int(index)),
	}
}

// legacyLabels are those of the pytorch-operator.
func legacyLabels(job string, role v1.ReplicaType, index int32) map[string]string {
	labels := map[string]string{
		"group-name":            v1.GroupName,
		"controller-name":       "pytorch-operator",
		"job-name":              job,
		"pytorch-job-name":      job,
		"pytorch-replica-type":  strings.ToLower(string(role)),
		"pytorch-replica-index": strconv.Itoa(int(index)),
	}
	if role == v1.Master {
		labels["job-role"] = "master"
	}
	return labels
}

// roleSelector selects the pods of one role; autoscalers read it through /scale.
func roleSelector(job string, role v1.ReplicaType) string {
	return fmt.Sprintf("%s=%s,%s=%s,%s=%s", LabelJobName, job, LabelOperatorName, OperatorName,
		LabelReplicaType, strings.ToLower(string(role)))
}
