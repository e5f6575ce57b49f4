package kube

import (
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/invariants"
)

// Objects as they stand in a history for package invariants. The vocabulary learns the
// resources that are named.

// SchedulerManager is the name under which the scheduler writes to the API.
const SchedulerManager = "lockstep-scheduler"

// HistoryNode translates a node.
func HistoryNode(node *v1.Node, vocabulary *cluster.Vocabulary) *invariants.Node {
	return &invariants.Node{
		Name: node.Name, UID: string(node.UID), Labels: node.Labels, Allocatable: Resources(node.Status.Allocatable, vocabulary),
		Cordoned: node.Spec.Unschedulable, NotReady: notReady(node), Model: ModelOf(node), Writers: writers(node),
	}
}

func notReady(node *v1.Node) bool {
	i := slices.IndexFunc(node.Status.Conditions, func(c v1.NodeCondition) bool { return c.Type == v1.NodeReady })
	return i >= 0 && node.Status.Conditions[i].Status != v1.ConditionTrue
}

// HistoryPod translates a pod.
func HistoryPod(pod *v1.Pod, vocabulary *cluster.Vocabulary) *invariants.Pod {
	member := Member(pod, vocabulary)
	p := &invariants.Pod{
		Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID), Scheduler: pod.Spec.SchedulerName, Group: pod.Labels[PodGroupLabel],
		Node: pod.Spec.NodeName, Phase: invariants.Phase(pod.Status.Phase), Deleting: pod.DeletionTimestamp != nil, Barred: Barred(pod) != "",
		Priority: Priority(pod), Revocable: Claim(pod).Revocable, Requests: Occupied(pod, vocabulary), Tolerant: tolerant(pod), Created: pod.CreationTimestamp.Time,
		Job: jobOf(pod), Role: strings.ToLower(member.Role), Index: member.Index, Writers: writers(pod),
	}
	for _, c := range pod.Status.Conditions {
		switch {
		case c.Type == v1.PodScheduled && c.Status == v1.ConditionTrue:
			p.BoundAt = c.LastTransitionTime.Time
		case c.Type == v1.DisruptionTarget && c.Status == v1.ConditionTrue && evictedByUs(pod):
			p.Disruption = &invariants.Disruption{Reason: c.Reason, Message: c.Message}
		}
	}
	return p
}

// tolerant: cordons and lost nodes do not keep the pod away.
func tolerant(pod *v1.Pod) bool {
	for _, key := range []string{v1.TaintNodeUnschedulable, v1.TaintNodeNotReady} {
		taint := v1.Taint{Key: key, Effect: v1.TaintEffectNoSchedule}
		if !corev1helpers.TolerationsTolerateTaint(klog.Background(), pod.Spec.Tolerations, &taint, true) {
			return false
		}
	}
	return true
}

// evictedByUs: the scheduler has written the condition that says why the pod is evicted.
func evictedByUs(pod *v1.Pod) bool {
	return slices.ContainsFunc(pod.ManagedFields, func(f metav1.ManagedFieldsEntry) bool {
		return f.Manager == SchedulerManager && f.FieldsV1 != nil && strings.Contains(f.FieldsV1.GetRawString(), string(v1.DisruptionTarget))
	})
}

// jobOf is the UID of the PyTorchJob that an object belongs to; empty for none.
func jobOf(object metav1.Object) string {
	owner := metav1.GetControllerOfNoCopy(object)
	if owner == nil || owner.Kind != kubeflowv1.Kind || !strings.HasPrefix(owner.APIVersion, kubeflowv1.GroupVersion.Group+"/") {
		return ""
	}
	return string(owner.UID)
}

func writers(object metav1.Object) []string {
	var names []string
	for _, f := range object.GetManagedFields() {
		names = append(names, f.Manager)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// HistoryGroup translates a PodGroup with its status.
func HistoryGroup(pg *v1alpha1.PodGroup, status GroupStatus) *invariants.PodGroup {
	spec := Spec(pg)
	g := &invariants.PodGroup{
		Namespace: pg.Namespace, Name: pg.Name, UID: string(pg.UID), Floor: spec.Floor, Required: spec.Required.Name, Queue: pg.Labels[QueueLabel], Revocable: spec.Revocable, Created: spec.Created,
		Job: jobOf(pg), Finished: status.Phase == v1alpha1.PodGroupFinished,
		Running: int(status.Running), Succeeded: int(status.Succeeded), Writers: writers(pg),
	}
	if c := meta.FindStatusCondition(status.Conditions, ScheduledCondition); c != nil {
		g.Placed, g.Reason, g.Message = c.Status == metav1.ConditionTrue, c.Reason, c.Message
	}
	return g
}

// HistoryJob translates a PyTorchJob.
func HistoryJob(job *kubeflowv1.PyTorchJob) *invariants.Job {
	policy := job.Spec.RunPolicy
	j := &invariants.Job{
		Namespace: job.Namespace, Name: job.Name, UID: string(job.UID), Suspended: policy.Suspend != nil && *policy.Suspend,
		Foreign: policy.ManagedBy != nil && *policy.ManagedBy != kubeflowv1.ManagedByOperator, Writers: writers(job),
	}
	for _, c := range job.Status.Conditions {
		if c.Status == v1.ConditionTrue {
			j.Ended = j.Ended || c.Type == kubeflowv1.JobSucceeded || c.Type == kubeflowv1.JobFailed
			j.Suspended = j.Suspended || c.Type == kubeflowv1.JobSuspended
		}
	}
	if job.Status.Progress != nil {
		j.Restarts = int(job.Status.Progress.Restarts)
	}
	for _, role := range kubeflowv1.ReplicaTypes() {
		if counts := job.Status.ReplicaStatuses[role]; counts != nil {
			j.Roles = append(j.Roles, invariants.Role{Name: strings.ToLower(string(role)), Active: int(counts.Active)})
		}
	}
	return j
}

// HistoryNotice translates an Event object.
func HistoryNotice(event *v1.Event) *invariants.Notice {
	reporter := event.ReportingController
	if reporter == "" {
		reporter = event.Source.Component
	}
	about := event.InvolvedObject
	return &invariants.Notice{
		UID: string(event.UID), Reporter: reporter, Reason: event.Reason, Action: event.Action, Message: event.Message,
		Kind: about.Kind, Namespace: about.Namespace, Name: about.Name, About: string(about.UID),
	}
}

// HistoryLease translates a lease.
func HistoryLease(lease *coordinationv1.Lease) *invariants.Lease {
	l := &invariants.Lease{}
	if lease.Spec.HolderIdentity != nil {
		l.Holder = *lease.Spec.HolderIdentity
	}
	if lease.Spec.LeaseDurationSeconds != nil {
		l.Duration = time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second
	}
	return l
}

// HistoryQuota translates an ElasticQuota.
func HistoryQuota(quota *v1alpha1.ElasticQuota, vocabulary *cluster.Vocabulary) *invariants.Quota {
	q := &invariants.Quota{
		Namespace: quota.Namespace, Name: quota.Name, Min: Resources(quota.Spec.Min, vocabulary), Max: Resources(quota.Spec.Max, vocabulary),
	}
	for i := range q.Max {
		if _, limited := quota.Spec.Max[v1.ResourceName(vocabulary.Name(i))]; !limited {
			q.Max[i] = -1
		}
	}
	if quota.Status.Used != nil {
		q.Used = Resources(quota.Status.Used, vocabulary)
	}
	return q
}

// HistoryQueue translates a Queue.
func HistoryQueue(queue *lockstepv1alpha1.Queue, vocabulary *cluster.Vocabulary) *invariants.Queue {
	q := &invariants.Queue{Name: queue.Name, Parent: queue.Spec.Parent, Namespaces: queue.Spec.Namespaces}
	for _, r := range queue.Spec.Resources {
		l := invariants.Limit{Resource: vocabulary.Index(string(r.Name)), Model: r.Model, Cap: -1}
		if r.Guaranteed != nil {
			l.Guaranteed = Amount(r.Name, *r.Guaranteed)
		}
		if r.Cap != nil {
			l.Cap = Amount(r.Name, *r.Cap)
		}
		q.Limits = append(q.Limits, l)
	}
	return q
}
