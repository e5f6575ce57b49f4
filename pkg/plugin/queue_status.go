package plugin

import (
	"context"
	"encoding/json"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/quota"
)

// keepEvery is how often what queues have borrowed is written down.
const keepEvery = time.Minute

// run says what is wrong with queues when they change, and now and then what they have
// borrowed, until ctx ends. Only the leader does.
func (q *queues) run(ctx context.Context) {
	kept, told := time.Time{}, map[types.UID]string{}
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		keep := time.Since(kept) >= keepEvery
		if !q.news.Swap(false) && !keep {
			return
		}
		if keep {
			kept = time.Now()
		}
		if err := q.write(ctx, keep, told); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Status of a Queue")
			q.news.Store(true)
		}
	}, time.Second)
}

// write brings the status of all queues in line; told is what events have said.
func (q *queues) write(ctx context.Context, keep bool, told map[types.UID]string) error {
	e := q.engine
	e.mu.Lock()
	read, late := e.quota, e.core.Late()
	e.mu.Unlock()
	if read == nil {
		return nil
	}
	for _, elastic := range decodeAll[v1alpha1.ElasticQuota](ctx, q.elastic) {
		q.tell(told, false, &v1.ObjectReference{
			APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "ElasticQuota", Namespace: elastic.Namespace, Name: elastic.Name, UID: elastic.UID,
		}, read.FaultsOf(kube.ElasticQueue(elastic)))
	}
	var history *quota.History
	if keep {
		history = &late
	}
	var failed error
	for _, queue := range decodeAll[lockstepv1alpha1.Queue](ctx, q.queue) {
		faults := read.FaultsOf(queue.Name)
		next, changed := kube.NextQueueStatus(queue, faults, history, time.Now())
		q.tell(told, kube.SameCondition(queue.Status, next), &v1.ObjectReference{
			APIVersion: lockstepv1alpha1.GroupVersion.String(), Kind: lockstepv1alpha1.Kind, Name: queue.Name, UID: queue.UID,
		}, faults)
		if !changed {
			continue
		}
		if err := q.patch(ctx, queue, next); err != nil {
			failed = err
		}
	}
	return failed
}

// tell puts what is wrong with a queue into an event, once. Where its condition says the same
// already, an earlier scheduler has told it.
func (q *queues) tell(told map[types.UID]string, written bool, about *v1.ObjectReference, faults []kube.Fault) {
	said := ""
	for _, fault := range faults {
		if fault.Mild {
			continue
		}
		if said != "" {
			said += "; "
		}
		said += fault.Field + ": " + fault.Text
	}
	before, known := told[about.UID]
	if told[about.UID] = said; said != "" && said != before && (known || !written) {
		q.engine.handle.EventRecorder().Eventf(about, nil, v1.EventTypeWarning, "QueueFaulty", "Reading", "%s", said)
	}
}

func (q *queues) patch(ctx context.Context, queue *lockstepv1alpha1.Queue, status lockstepv1alpha1.QueueStatus) error {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": queue.UID}, "status": status})
	if err != nil {
		return err
	}
	_, err = q.engine.dynamic.Resource(lockstepv1alpha1.Queues).Patch(ctx, queue.Name, types.MergePatchType, body, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // gone, or created again
	}
	return err
}
