package plugin

import (
	"context"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
)

// apply carries out effects. It takes no lock of the scheduling queue, so it may
// be called from every extension point.
func (e *engine) apply(effects []core.Effect) {
	for _, effect := range effects {
		switch effect := effect.(type) {
		case core.Activate:
			e.activations.put(effect.UIDs)
		case core.Release:
			released.Add(float64(len(effect.UIDs)))
			for _, uid := range effect.UIDs {
				if waiting := e.handle.GetWaitingPod(types.UID(uid)); waiting != nil {
					waiting.Allow(Name)
				}
			}
		case core.GiveBack:
			givenBack.WithLabelValues(string(effect.Reason.Code)).Inc()
			for _, uid := range effect.UIDs {
				if waiting := e.handle.GetWaitingPod(types.UID(uid)); waiting != nil {
					waiting.Reject(Name, effect.Reason.Message)
				}
			}
		case core.Evict:
			go e.evict(effect)
		case core.Report:
			e.reports.put(effect)
		}
	}
}

// activate moves pods into the active queue; it takes the queue's lock.
func (e *engine) activate(logger klog.Logger, uids []string) {
	pods := make(map[string]*v1.Pod, len(uids))
	e.mu.Lock()
	for _, uid := range uids {
		if pod := e.pods[uid]; pod != nil {
			pods[pod.Namespace+"/"+pod.Name] = pod
		}
	}
	e.mu.Unlock()
	if len(pods) > 0 {
		e.handle.Activate(logger, pods)
	}
}

// wakeBeside lets pods that were refused because of promises to gangs try again, once
// these have changed.
func (e *engine) wakeBeside(logger klog.Logger) {
	e.mu.Lock()
	epoch, promises := e.core.Epoch(), e.core.Promises()
	e.mu.Unlock()
	e.besideMu.Lock()
	if epoch == e.besideEpoch && promises {
		e.besideMu.Unlock()
		return
	}
	e.besideEpoch = epoch
	pods := make(map[string]*v1.Pod, len(e.beside))
	for _, pod := range e.beside {
		pods[pod.Namespace+"/"+pod.Name] = pod
	}
	clear(e.beside)
	e.besideMu.Unlock()
	if len(pods) > 0 {
		e.handle.Activate(logger, pods)
	}
}

// mend lets go of waiting pods whose state in the core has moved on while the
// framework was putting them among the waiting.
func (e *engine) mend() {
	e.handle.IterateOverWaitingPods(func(waiting fwk.WaitingPod) {
		if !slices.Contains(waiting.GetPendingPlugins(), Name) {
			return
		}
		e.mu.Lock()
		state, known := e.core.State(string(waiting.GetPod().UID))
		e.mu.Unlock()
		switch {
		case !known || state == gang.Waiting || state == gang.Held:
			waiting.Reject(Name, "the gang was given back")
		case state == gang.Binding || state == gang.Bound:
			waiting.Allow(Name)
		}
	})
}

// evict ends pods: members of a gang that could not be completed, or victims. The events
// and the conditions say why before the first goes: a scheduler that starts knows by them who else
// was to go.
func (e *engine) evict(effect core.Evict) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	evicted.WithLabelValues(string(effect.Reason.Code)).Add(float64(len(effect.UIDs)))
	pods := make([]*v1.Pod, 0, len(effect.UIDs))
	for _, uid := range effect.UIDs {
		pod := e.podToEvict(uid, effect.Key)
		if pod == nil {
			continue
		}
		pods = append(pods, pod)
		e.handle.EventRecorder().Eventf(pod, nil, v1.EventTypeWarning, string(effect.Reason.Code), "Evicting", "%s", effect.Reason.Message)
		if err := e.markDisrupted(ctx, pod, effect.Reason); err != nil && !apierrors.IsNotFound(err) {
			klog.FromContext(ctx).Error(err, "Condition of an evicted pod", "pod", klog.KObj(pod))
		}
	}
	_ = wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		pods = slices.DeleteFunc(pods, func(pod *v1.Pod) bool { return e.deleteEvicted(ctx, pod) })
		return len(pods) == 0, nil
	})
}

// deleteEvicted reports whether a pod goes, or is gone. If not it is tried again: its siblings
// go as well.
func (e *engine) deleteEvicted(ctx context.Context, pod *v1.Pod) bool {
	options := *metav1.NewDeleteOptions(gracePeriod(pod))
	options.Preconditions = metav1.NewUIDPreconditions(string(pod.UID))
	err := e.handle.ClientSet().CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, options)
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // a conflict: another has its name
		return true
	}
	klog.FromContext(ctx).Error(err, "Evict a pod", "pod", klog.KObj(pod))
	return false
}

// podToEvict finds a member, or a pod without a gang by its name.
func (e *engine) podToEvict(uid string, name gang.Key) *v1.Pod {
	e.mu.Lock()
	pod := e.pods[uid]
	e.mu.Unlock()
	if pod != nil {
		return pod
	}
	pod, err := e.handle.SharedInformerFactory().Core().V1().Pods().Lister().Pods(name.Namespace).Get(name.Name)
	if err != nil || string(pod.UID) != uid {
		return nil
	}
	return pod
}

// minGrace is the least notice that an evicted member gets to save its work.
const minGrace = 60

func gracePeriod(pod *v1.Pod) int64 {
	if own := pod.Spec.TerminationGracePeriodSeconds; own != nil {
		return max(*own, minGrace)
	}
	return minGrace
}

// mailbox collects UIDs until they are taken, each once.
type mailbox struct {
	mu    sync.Mutex
	uids  []string
	there map[string]bool
	mail  chan struct{}
}

func newMailbox() *mailbox { return &mailbox{there: map[string]bool{}, mail: make(chan struct{}, 1)} }

func (m *mailbox) put(uids []string) {
	m.mu.Lock()
	for _, uid := range uids {
		if !m.there[uid] {
			m.there[uid] = true
			m.uids = append(m.uids, uid)
		}
	}
	m.mu.Unlock()
	select {
	case m.mail <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	uids := m.uids
	m.uids, m.there = nil, map[string]bool{}
	return uids
}
