package kube

import (
	"strconv"

	v1 "k8s.io/api/core/v1"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
)

// PodGroupLabel makes a pod a member of the PodGroup of that name in its namespace.
const PodGroupLabel = v1alpha1.PodGroupLabel

// GangOf returns the gang that a pod belongs to; ok is false for a pod without one.
func GangOf(pod *v1.Pod) (key gang.Key, ok bool) {
	name := pod.Labels[PodGroupLabel]
	return gang.Key{Namespace: pod.Namespace, Name: name}, name != ""
}

// Barred says why a member may not be scheduled whatever its gang does; empty
// when it may.
func Barred(pod *v1.Pod) string {
	switch {
	case pod.Spec.SchedulingGroup != nil:
		return "the pod claims two groups, by label " + PodGroupLabel + " and by spec.schedulingGroup; remove one of them"
	case len(pod.Spec.SchedulingGates) > 0:
		return "the pod is held back by scheduling gate " + pod.Spec.SchedulingGates[0].Name
	}
	return ""
}

// Evicted is why a pod is to go that is still there, as the scheduler has said in its status; zero
// where it has not.
func Evicted(pod *v1.Pod) core.Reason {
	for _, c := range pod.Status.Conditions {
		ours := c.Type == v1.DisruptionTarget && c.Status == v1.ConditionTrue
		switch code := core.Code(c.Reason); {
		case !ours || pod.DeletionTimestamp != nil:
		case code == core.Preempted, code == core.Revoked, code == core.Reclaimed, code == core.Balanced, code == core.NotHealed:
			return core.Reason{Code: code, Message: c.Message}
		}
	}
	return core.Reason{}
}

// Outsider translates a pod that has a gang's label and is left to another scheduler.
func Outsider(pod *v1.Pod) core.Outsider {
	return core.Outsider{UID: string(pod.UID), Name: pod.Name, Why: "its schedulerName is " + pod.Spec.SchedulerName}
}

// roleLabels and indexLabels say a member's role and its number within the role,
// by the labels that controllers set; the first that is there counts.
var (
	roleLabels = []string{
		"training.kubeflow.org/replica-type",
		"jobset.sigs.k8s.io/replicatedjob-name",
		"ray.io/node-type",
		"volcano.sh/task-spec",
	}
	indexLabels = []string{
		"training.kubeflow.org/replica-index",
		"batch.kubernetes.io/job-completion-index",
		"leaderworkerset.sigs.k8s.io/worker-index",
		"apps.kubernetes.io/pod-index",
	}
	// outerLabels number the jobs of a set; they weigh more than the index inside one.
	outerLabels = []string{"jobset.sigs.k8s.io/job-index", "leaderworkerset.sigs.k8s.io/group-index"}
)

// outerStride leaves room for the indices inside one job.
const outerStride = 1 << 20

// Member translates a pod. The vocabulary learns the resources that it asks for.
func Member(pod *v1.Pod, vocabulary *cluster.Vocabulary) gang.Member {
	m := gang.Member{
		UID:      string(pod.UID),
		Name:     pod.Name,
		Class:    Class(pod),
		Requests: Requests(pod, vocabulary),
		Priority: Priority(pod),
		Patient:  Patient(pod),
		Duration: Duration(pod),
		Started:  Started(pod),
		Apart:    Apart(pod),
		Beyond:   Beyond(pod),
	}
	m.Role, _ = first(pod.Labels, roleLabels)
	m.Index = number(pod, indexLabels) + outerStride*number(pod, outerLabels)
	return m
}

func first(labels map[string]string, keys []string) (string, bool) {
	for _, key := range keys {
		if value, ok := labels[key]; ok {
			return value, true
		}
	}
	return "", false
}

// number reads a number from a label or an annotation of the same key.
func number(pod *v1.Pod, keys []string) int {
	text, ok := first(pod.Labels, keys)
	if !ok {
		text, _ = first(pod.Annotations, keys)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return min(n, outerStride-1)
}

// Priority of a pod; 0 when the apiserver has set none.
func Priority(pod *v1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}
