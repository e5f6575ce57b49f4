package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
)

// settleTime is how long changes of one gang are collected before they are
// written: members come and start one after another.
const settleTime = 500 * time.Millisecond

// reporter writes where gangs stand into their PodGroups' status, one write and
// one event per change.
type reporter struct {
	engine *engine
	queue  workqueue.TypedRateLimitingInterface[gang.Key]

	mu      sync.Mutex
	event   map[gang.Key]core.Reason // the last reason that an event told
	told    map[gang.Key][]string    // UIDs of the outsiders that events have told of
	written map[gang.Key]*group      // what was written last, until the cache has it
}

func newReporter(e *engine) *reporter {
	return &reporter{engine: e, event: map[gang.Key]core.Reason{}, told: map[gang.Key][]string{}, written: map[gang.Key]*group{}, queue: workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[gang.Key](100*time.Millisecond, 30*time.Second))}
}

func (r *reporter) put(report core.Report) { r.queue.AddAfter(report.Key, settleTime) }

// touch has a gang's status computed again: the number of members that run may
// have changed.
func (r *reporter) touch(key gang.Key) { r.queue.AddAfter(key, settleTime) }

func (r *reporter) run(ctx context.Context) {
	go func() {
		<-ctx.Done()
		r.queue.ShutDown()
	}()
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for {
				key, quit := r.queue.Get()
				if quit {
					return
				}
				if err := r.write(ctx, key); err != nil && ctx.Err() == nil {
					klog.FromContext(ctx).Error(err, "Status of a PodGroup", "podGroup", key)
					r.queue.AddRateLimited(key)
				} else {
					r.queue.Forget(key)
				}
				r.queue.Done(key)
			}
		})
	}
	workers.Wait()
}

// write brings one PodGroup's status in line with its gang.
func (r *reporter) write(ctx context.Context, key gang.Key) error {
	e := r.engine
	g := e.groups.find(key)
	e.mu.Lock()
	status, known := e.core.Status(key)
	running := e.running(key)
	reservation := kube.NewReservation(status.Reservation, e.vocabulary)
	outsiders := e.core.Outsiders(key)
	queue := ""
	if g != nil && e.quota != nil {
		queue, _ = e.quota.QueueOf(g.PodGroup)
	}
	e.mu.Unlock()
	if err := r.tellStrays(ctx, key, status); err != nil {
		return err
	}
	if g == nil || !known {
		r.mu.Lock()
		delete(r.event, key)
		delete(r.told, key)
		delete(r.written, key)
		r.mu.Unlock()
		return nil
	}
	g = r.latest(key, g)
	if status.Passing() {
		// It lasts for moments, and the core does not tell of it; nor would it tell that
		// the gang is again what it was before.
		r.queue.AddAfter(key, 2*settleTime)
		return nil
	}
	r.tell(g, status)
	r.tellOutsiders(g, outsiders)
	now := metav1.Now()
	next, changed := g.status.Next(status, running, status.Counts.Finished, reservation, g.Generation, now)
	if !changed {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": g.UID}, "status": next})
	if err != nil {
		return fmt.Errorf("status of PodGroup %s: %w", key, err)
	}
	written, err := e.dynamic.Resource(kube.PodGroups).Namespace(key.Namespace).
		Patch(ctx, key.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // gone, or created again: another life
	}
	if err != nil {
		return err
	}
	observeWait(g, queue, status, now.Time)
	if last, err := decodeGroup(written); err == nil { // else it is waited for
		r.mu.Lock()
		r.written[key] = last.(*group)
		r.mu.Unlock()
	}
	return nil
}

// latest is a PodGroup of the cache with the status that was written last: its watch may
// not have shown that yet, and what has changed since is to be told once.
func (r *reporter) latest(key gang.Key, cached *group) *group {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.written[key]
	if last == nil {
		return cached
	}
	order, err := resourceversion.CompareResourceVersion(cached.ResourceVersion, last.ResourceVersion)
	if err == nil && order < 0 && cached.UID == last.UID {
		return &group{PodGroup: cached.PodGroup, status: last.status}
	}
	delete(r.written, key)
	return cached
}

// running counts a gang's members that run; it needs e.mu.
func (e *engine) running(key gang.Key) int {
	n := 0
	for _, uid := range e.core.Members(key) {
		if pod := e.pods[uid]; pod != nil && pod.Status.Phase == v1.PodRunning {
			n++
		}
	}
	return n
}

// scheduled is the reason of the event that a gang's floor has its place.
const scheduled core.Code = "Scheduled"

// tell puts a change of a gang's reason into an event on its PodGroup.
func (r *reporter) tell(g *group, status core.Status) {
	key := gang.Key{Namespace: g.Namespace, Name: g.Name}
	reason := status.Reason
	if status.Phase == gang.Placed {
		reason = core.Reason{Code: scheduled}
	}
	r.mu.Lock()
	before, told := r.event[key]
	if !told {
		before.Code = g.told() // by the scheduler before this one
	}
	same := before.Code == reason.Code
	r.event[key] = reason
	if !told && reason.Code == core.WaitingForMembers {
		r.event[key] = before // so it may be for a scheduler that has just started and not seen them all
	}
	r.mu.Unlock()
	if same || reason.Code == "" || reason.Code == core.WaitingForMembers {
		return
	}
	kind := v1.EventTypeWarning
	if status.Phase == gang.Placed {
		kind = v1.EventTypeNormal
	}
	r.engine.handle.EventRecorder().Eventf(reference(g), nil, kind, string(reason.Code), "Scheduling", "%s", kube.Sentence(status))
}

func reference(g *group) *v1.ObjectReference {
	return &v1.ObjectReference{
		APIVersion: kube.PodGroupKind.GroupVersion().String(), Kind: kube.PodGroupKind.Kind,
		Namespace: g.Namespace, Name: g.Name, UID: g.UID, ResourceVersion: g.ResourceVersion,
	}
}

// tellOutsiders puts into events, on the pod and on the PodGroup, that a pod bears the
// gang's label and counts for nothing.
func (r *reporter) tellOutsiders(g *group, outsiders []core.Outsider) {
	key := gang.Key{Namespace: g.Namespace, Name: g.Name}
	r.mu.Lock()
	told := r.told[key]
	delete(r.told, key)
	for _, o := range outsiders {
		r.told[key] = append(r.told[key], o.UID)
	}
	r.mu.Unlock()
	for _, o := range outsiders {
		if slices.Contains(told, o.UID) {
			continue
		}
		pod := &v1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: g.Namespace, Name: o.Name, UID: types.UID(o.UID)}
		for _, about := range []*v1.ObjectReference{pod, reference(g)} {
			r.engine.handle.EventRecorder().Eventf(about, nil, v1.EventTypeWarning, "NotAMember", "Scheduling",
				"pod %s bears the label %s: %s and does not count: %s; set schedulerName: %s, or take the label away",
				o.Name, kube.PodGroupLabel, g.Name, o.Why, r.engine.handle.ProfileName())
		}
	}
}

// markDisrupted says in the pod's status that it did not fail by itself.
func (e *engine) markDisrupted(ctx context.Context, pod *v1.Pod, reason core.Reason) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status": map[string]any{"conditions": []v1.PodCondition{{
			Type: v1.DisruptionTarget, Status: v1.ConditionTrue, LastTransitionTime: metav1.Now(),
			Reason: string(reason.Code), Message: reason.Message,
		}}},
	})
	if err != nil {
		return err
	}
	_, err = e.handle.ClientSet().CoreV1().Pods(pod.Namespace).
		Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}
