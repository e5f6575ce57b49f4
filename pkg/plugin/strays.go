package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
)

// strays are members that may not be tried for a reason that no condition of a PodGroup gives:
// there is none, or it says that the gang has its place.
func (e *engine) strays(key gang.Key, status core.Status) (pods []*v1.Pod, reason core.Reason) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if status.Reason.Code == "" {
		return nil, reason
	}
	lister := e.handle.SharedInformerFactory().Core().V1().Pods().Lister()
	untold := e.groups.find(key) == nil || status.Phase == gang.Placed
	for _, uid := range e.core.Members(key) {
		state, _ := e.core.State(uid)
		pod := e.pods[uid]
		if pod == nil || state != gang.Waiting || e.core.Gate(uid) != status.Reason {
			continue
		}
		pod, err := lister.Pods(pod.Namespace).Get(pod.Name) // with its conditions of now
		if err != nil || string(pod.UID) != uid {
			continue
		}
		if said, told := said(pod); said != status.Reason && (untold || told) {
			pods = append(pods, pod)
		}
	}
	return pods, status.Reason
}

// said is what a pod's own condition says, and whether that was told of a stray before.
func said(pod *v1.Pod) (reason core.Reason, told bool) {
	for _, c := range pod.Status.Conditions {
		if c.Type == v1.PodScheduled {
			told = c.Reason != v1.PodReasonUnschedulable && c.Reason != v1.PodReasonSchedulingGated && c.Reason != v1.PodReasonSchedulerError
			return core.Reason{Code: core.Code(c.Reason), Message: c.Message}, told
		}
	}
	return reason, false
}

// tellStrays says why they wait on the pods themselves, by a condition and an event.
func (r *reporter) tellStrays(ctx context.Context, key gang.Key, status core.Status) error {
	pods, reason := r.engine.strays(key, status)
	var failed error
	for _, pod := range pods {
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"uid": pod.UID},
			"status": map[string]any{"conditions": []v1.PodCondition{{
				Type: v1.PodScheduled, Status: v1.ConditionFalse, LastTransitionTime: metav1.Now(), Reason: string(reason.Code), Message: reason.Message,
			}}},
		})
		if err != nil {
			return fmt.Errorf("condition of pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		_, err = r.engine.handle.ClientSet().CoreV1().Pods(pod.Namespace).
			Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		switch {
		case apierrors.IsNotFound(err), apierrors.IsConflict(err): // gone, or created again
		case err != nil:
			failed = errors.Join(failed, err)
		default:
			r.engine.handle.EventRecorder().Eventf(pod, nil, v1.EventTypeWarning, string(reason.Code), "Scheduling", "%s", reason.Message)
		}
	}
	return failed
}
