package processnode

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// kubelet carries pods from the apiserver to the runtime and their statuses back. Everything in it is keyed by
// UID: a job's pod is created again under its old name and with its old spec, and must still be taken for a new one.
type kubelet struct {
	runtime *Runtime
	client  corev1.PodsGetter
	pods    cache.Store
	queue   workqueue.TypedRateLimitingInterface[identity]
	log     *slog.Logger

	mu       sync.Mutex
	statuses map[identity]v1.PodStatus // the newest that is not known to be written
}

// identity is one life of a pod.
type identity struct {
	namespace, name string
	uid             types.UID
}

func identify(pod *v1.Pod) identity { return identity{pod.Namespace, pod.Name, pod.UID} }

func newKubelet(r *Runtime, client corev1.PodsGetter, pods cache.Store, log *slog.Logger) *kubelet {
	k := &kubelet{
		runtime: r, client: client, pods: pods, log: log, statuses: map[identity]v1.PodStatus{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[identity](50*time.Millisecond, 10*time.Second)),
	}
	r.NotifyPods(context.Background(), k.statusChanged)
	return k
}

// handler receives the pods that are bound to this node.
func (k *kubelet) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { k.sync(o.(*v1.Pod)) },
		UpdateFunc: func(before, after any) {
			if old := before.(*v1.Pod); old.UID != after.(*v1.Pod).UID {
				k.gone(old) // deleted and created again between two looks
			}
			k.sync(after.(*v1.Pod))
		},
		DeleteFunc: func(o any) {
			if last, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = last.Obj
			}
			if pod, ok := o.(*v1.Pod); ok {
				k.gone(pod)
			}
		},
	}
}

// sync brings the runtime in line with one pod. The runtime's methods return at once.
func (k *kubelet) sync(pod *v1.Pod) {
	ctx := context.Background()
	known := k.runtime.Knows(pod.UID)
	ended := pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
	var err error
	switch {
	case pod.DeletionTimestamp != nil:
		if known {
			err = k.runtime.DeletePod(ctx, pod)
		}
		k.queue.Add(identify(pod))
	case known:
		err = k.runtime.UpdatePod(ctx, pod)
	case !ended:
		err = k.runtime.CreatePod(ctx, pod)
	}
	if err != nil {
		k.log.Warn("pod", "namespace", pod.Namespace, "name", pod.Name, "error", err)
	}
}

func (k *kubelet) gone(pod *v1.Pod) {
	k.runtime.Forget(pod.UID)
	k.mu.Lock()
	delete(k.statuses, identify(pod))
	k.mu.Unlock()
}

// statusChanged is called by the runtime, one call at a time.
func (k *kubelet) statusChanged(pod *v1.Pod) {
	id := identify(pod)
	k.mu.Lock()
	k.statuses[id] = pod.Status
	k.mu.Unlock()
	k.queue.Add(id)
}

// run writes statuses with a few workers until ctx ends.
func (k *kubelet) run(ctx context.Context) {
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for {
				id, quit := k.queue.Get()
				if quit {
					return
				}
				if err := k.write(ctx, id); err != nil && ctx.Err() == nil {
					k.log.Warn("status of a pod", "namespace", id.namespace, "name", id.name, "error", err)
					k.queue.AddRateLimited(id)
				} else {
					k.queue.Forget(id)
				}
				k.queue.Done(id)
			}
		})
	}
	<-ctx.Done()
	k.queue.ShutDown()
	workers.Wait()
}

// write brings the apiserver in line with one pod: its status first, and then, if it is to be deleted and
// nothing of it runs any more, its end.
func (k *kubelet) write(ctx context.Context, id identity) error {
	object, exists, err := k.pods.GetByKey(id.namespace + "/" + id.name)
	if err != nil || !exists {
		return err
	}
	pod := object.(*v1.Pod)
	if pod.UID != id.uid {
		return nil
	}
	k.mu.Lock()
	status, have := k.statuses[id]
	k.mu.Unlock()
	if have {
		if err := k.patchStatus(ctx, pod, status); err != nil {
			return err
		}
	}
	if pod.DeletionTimestamp == nil || k.runtime.Runs(id.uid) {
		return nil
	}
	options := metav1.NewDeleteOptions(0)
	options.Preconditions = metav1.NewUIDPreconditions(string(id.uid))
	return ignoreGone(k.client.Pods(id.namespace).Delete(ctx, id.name, *options))
}

// patchStatus writes what differs. The UID in the patch makes it fail on a pod that was created again.
func (k *kubelet) patchStatus(ctx context.Context, pod *v1.Pod, status v1.PodStatus) error {
	patch, err := statusPatch(pod, status)
	if err != nil || patch == nil {
		return err
	}
	_, err = k.client.Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return ignoreGone(err)
}

// statusPatch is nil when there is nothing to write.
func statusPatch(pod *v1.Pod, status v1.PodStatus) ([]byte, error) {
	status.Conditions = mergeConditions(pod.Status.Conditions, status.Conditions)
	status.QOSClass = pod.Status.QOSClass
	status.NominatedNodeName = pod.Status.NominatedNodeName
	status.ResourceClaimStatuses = pod.Status.ResourceClaimStatuses
	status.ObservedGeneration = pod.Generation
	before, err := json.Marshal(v1.Pod{Status: pod.Status})
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(v1.Pod{Status: status})
	if err != nil {
		return nil, err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, v1.Pod{})
	if err != nil || string(patch) == "{}" {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(patch, &fields); err != nil {
		return nil, err
	}
	fields["metadata"] = map[string]any{"uid": pod.UID}
	return json.Marshal(fields)
}

// ignoreGone drops the errors that say that this life of the pod is over.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write to the apiserver: %w", err)
	}
	return nil
}
