package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/kube"
)

// conditionQueueNotFound is True while the queue that the job names does not exist.
const conditionQueueNotFound v1.JobConditionType = "QueueNotFound"

// namedQueue is the queue that a job names, by its policy or else by its label; empty where it
// names none. A policy's that no queue can be is told of by v1.Unsupported.
func namedQueue(job *v1.PyTorchJob) string {
	if name := policyQueue(job); name != "" {
		return name
	}
	return job.Labels[kube.QueueLabel]
}

func policyQueue(job *v1.PyTorchJob) string {
	policy := job.Spec.RunPolicy.SchedulingPolicy
	if policy == nil || len(validation.IsValidLabelValue(policy.Queue)) > 0 {
		return ""
	}
	return policy.Queue
}

// noteQueue shows that the job's queue is missing, and tells it when it is news.
func (p *pass) noteQueue() {
	if !p.QueueMissing {
		p.dropCondition(conditionQueueNotFound)
		return
	}
	path, mend := field.NewPath("metadata", "labels").Key(kube.QueueLabel), "correct the label"
	if policyQueue(p.job) != "" {
		path, mend = field.NewPath("spec", "runPolicy", "schedulingPolicy", "queue"), "the job anew with another"
	}
	message := field.NotFound(path, namedQueue(p.job)).Error() + ": create this Queue, or " + mend
	if !isTrue(p.status, conditionQueueNotFound) {
		p.tell(corev1.EventTypeWarning, string(conditionQueueNotFound), message)
	}
	p.setCondition(conditionQueueNotFound, corev1.ConditionTrue, string(conditionQueueNotFound), message)
}

// newQueue is one of which only the metadata is read: whether it exists.
func newQueue() *metav1.PartialObjectMetadata {
	queue := &metav1.PartialObjectMetadata{}
	queue.SetGroupVersionKind(lockstepv1alpha1.GroupVersion.WithKind(lockstepv1alpha1.Kind))
	return queue
}

// observeQueue finds out whether the queue that the job names is missing.
func (r *Reconciler) observeQueue(ctx context.Context, job *v1.PyTorchJob, o *Observed) error {
	name := namedQueue(job)
	if name == "" || !r.queues {
		return nil
	}
	err := r.Client.Get(ctx, types.NamespacedName{Name: name}, newQueue())
	o.QueueMissing = apierrors.IsNotFound(err)
	return client.IgnoreNotFound(err)
}

const indexQueue = "lockstep.dev/queue"

// watchQueues wakes the jobs that name a queue when it comes or goes. In a cluster that
// does not know queues nobody misses one.
func (r *Reconciler) watchQueues(ctx context.Context, mgr manager.Manager, build *builder.Builder) error {
	kind := newQueue().GroupVersionKind()
	if _, err := mgr.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version); meta.IsNoMatchError(err) {
		log.FromContext(ctx).Info("The cluster serves no queues.lockstep.dev: jobs may name any queue")
		return nil
	} else if err != nil {
		return err
	}
	err := mgr.GetFieldIndexer().IndexField(ctx, &v1.PyTorchJob{}, indexQueue, func(object client.Object) []string {
		if job, ok := object.(*v1.PyTorchJob); ok && namedQueue(job) != "" {
			return []string{namedQueue(job)}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.queues = true
	wake := func(ctx context.Context, object client.Object, q queue) {
		jobs := &v1.PyTorchJobList{}
		if err := r.Client.List(ctx, jobs, client.MatchingFields{indexQueue: object.GetName()}, client.UnsafeDisableDeepCopy); err != nil {
			log.FromContext(ctx).Error(err, "Looking for the jobs of a queue", "queue", object.GetName())
		}
		for i := range jobs.Items {
			enqueue(q, client.ObjectKeyFromObject(&jobs.Items[i]))
		}
	}
	build.WatchesMetadata(newQueue(), handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) { wake(ctx, e.Object, q) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { wake(ctx, e.Object, q) },
	})
	return nil
}
