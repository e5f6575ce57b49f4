package plugin

import (
	"context"
	"fmt"
	"maps"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
)

// start watches pods, nodes and PodGroups, and runs the engine's goroutines until
// ctx ends.
func (e *engine) start(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	factory := e.handle.SharedInformerFactory()
	pods, err := factory.Core().V1().Pods().Informer().AddEventHandler(e.podHandler())
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	if _, err := factory.Policy().V1().PodDisruptionBudgets().Informer().AddEventHandler(e.budgetHandler()); err != nil {
		return fmt.Errorf("watch PodDisruptionBudgets: %w", err)
	}
	nodes, err := factory.Core().V1().Nodes().Informer().AddEventHandler(e.nodeHandler())
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	finished, finishedSeen, err := e.finishedPods()
	if err != nil {
		return err
	}
	groups := dynamicinformer.NewDynamicSharedInformerFactory(e.dynamic, 0).ForResource(kube.PodGroups).Informer()
	if err := groups.SetTransform(decodeGroup); err != nil {
		return fmt.Errorf("watch PodGroups: %w", err)
	}
	e.groups = &groupCache{groups.GetStore()}
	groupsSeen, err := groups.AddEventHandler(e.groupHandler())
	if err != nil {
		return fmt.Errorf("watch PodGroups: %w", err)
	}
	e.queues = e.newQueues()
	queuesSeen, err := e.queues.start(ctx)
	if err != nil {
		return err
	}
	seen := append(queuesSeen, pods.HasSynced, nodes.HasSynced, finishedSeen.HasSynced, groupsSeen.HasSynced)
	go groups.RunWithContext(ctx)
	go finished.RunWithContext(ctx)
	go e.runActivations(ctx)
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), seen...) {
			e.becomeReady(logger)
			if e.awaitElection(ctx) {
				e.act(ctx)
			}
		}
	}()
	return nil
}

// becomeReady opens the gate for members; until then a gang that was bound in
// part before a restart could be taken for a new one. Queues are weighed before, by what
// the informers know, as no cycle has a snapshot yet: the first order is by their turn.
func (e *engine) becomeReady(logger klog.Logger) {
	if nodes, err := e.nodes(); err != nil {
		logger.Error(err, "List nodes and pods; queues are weighed at the first attempt")
	} else {
		e.mu.Lock()
		e.mirror.update(nodes)
		effects := e.core.Step(time.Now(), core.ClusterSeen{View: e.view(nodes)})
		e.mu.Unlock()
		e.apply(effects)
	}
	e.ready.Store(true)
	e.mu.Lock()
	uids := make([]string, 0, len(e.pods))
	for uid, pod := range e.pods {
		if pod.Spec.NodeName == "" {
			uids = append(uids, uid)
		}
	}
	e.mu.Unlock()
	logger.Info("Lockstep has seen all pods and PodGroups", "waitingMembers", len(uids))
	e.activations.put(uids)
}

// nodes are the nodes with the pods on them as the informers know them.
func (e *engine) nodes() ([]fwk.NodeInfo, error) {
	informers := e.handle.SharedInformerFactory().Core().V1()
	nodes, err := informers.Nodes().Lister().List(labels.Everything())
	if err != nil {
		return nil, err
	}
	pods, err := informers.Pods().Lister().List(labels.Everything())
	if err != nil {
		return nil, err
	}
	on := map[string][]*v1.Pod{}
	for _, pod := range pods {
		if pod.Spec.NodeName != "" && pod.Status.Phase != v1.PodSucceeded && pod.Status.Phase != v1.PodFailed {
			on[pod.Spec.NodeName] = append(on[pod.Spec.NodeName], pod)
		}
	}
	infos := make([]fwk.NodeInfo, 0, len(nodes))
	for _, node := range nodes {
		info := framework.NewNodeInfo(on[node.Name]...)
		info.SetNode(node)
		infos = append(infos, info)
	}
	return infos, nil
}

func (e *engine) runActivations(ctx context.Context) {
	logger := klog.FromContext(ctx)
	for {
		select {
		case <-e.activations.mail:
			e.activate(logger, e.activations.take())
		case <-ctx.Done():
			return
		}
	}
}

// last is the object of a delete notification.
func last(o any) any {
	if unknown, ok := o.(cache.DeletedFinalStateUnknown); ok {
		return unknown.Obj
	}
	return o
}

// nodeHandler tells of what the scheduler's own events do not wake for, or not whom it concerns.
func (e *engine) nodeHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, after any) {
			old, node := before.(*v1.Node), after.(*v1.Node)
			if shrunk(old.Status.Allocatable, node.Status.Allocatable) {
				e.step(core.NodeShrunk{Name: node.Name})
			}
		},
		DeleteFunc: func(o any) {
			if node, ok := last(o).(*v1.Node); ok {
				e.step(core.NodeGone{Name: node.Name})
			}
		},
	}
}

// shrunk reports whether there is less of anything.
func shrunk(old, now v1.ResourceList) bool {
	for name, before := range old {
		if after := now[name]; after.Cmp(before) < 0 {
			return true
		}
	}
	return false
}

func (e *engine) podHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			if pod, ok := o.(*v1.Pod); ok {
				e.podSeen(pod)
			}
		},
		UpdateFunc: func(before, after any) {
			old, pod := before.(*v1.Pod), after.(*v1.Pod)
			_, member := kube.GangOf(pod)
			if old.UID != pod.UID || !member {
				e.podGone(old) // created again, or its label was taken away
			} else if !differ(old, pod) {
				return
			}
			e.podSeen(pod)
		},
		DeleteFunc: func(o any) {
			if pod, ok := last(o).(*v1.Pod); ok {
				e.podGone(pod)
			}
		},
	}
}

// differ says whether anything has changed that concerns a member.
func differ(a, b *v1.Pod) bool {
	return a.Spec.NodeName != b.Spec.NodeName || kube.Evicted(a) != kube.Evicted(b) || a.Status.Phase != b.Status.Phase || a.Generation != b.Generation ||
		(a.DeletionTimestamp == nil) != (b.DeletionTimestamp == nil) || len(a.Spec.SchedulingGates) != len(b.Spec.SchedulingGates) ||
		!maps.Equal(a.Labels, b.Labels)
}

// podSeen takes in a pod that is there. Pods of other schedulers are nobody's members
// here, whatever their labels say, and the gang says so; pods that are being deleted are
// no members any more.
func (e *engine) podSeen(pod *v1.Pod) {
	key, member := kube.GangOf(pod)
	if !member {
		return
	}
	if pod.DeletionTimestamp != nil {
		e.podGone(pod)
		return
	}
	if !e.profiles[pod.Spec.SchedulerName] {
		e.step(core.OutsiderSeen{Key: key, Outsider: kube.Outsider(pod)})
		e.reports.touch(key)
		return
	}
	if !e.exists(pod) {
		return // old news: its end may be known already
	}
	e.mu.Lock()
	effects := e.core.Step(time.Now(), e.seen(pod))
	e.mu.Unlock()
	e.apply(effects)
	if pod.Status.Phase == v1.PodRunning || pod.Spec.NodeName == "" {
		e.reports.touch(key)
	}
}

func (e *engine) podGone(pod *v1.Pod) {
	key, member := kube.GangOf(pod)
	if !member {
		return
	}
	uid := string(pod.UID)
	e.mu.Lock()
	delete(e.pods, uid)
	e.residents.drop(pod)
	effects := e.core.Step(time.Now(), core.MemberGone{Key: key, UID: uid})
	e.mu.Unlock()
	e.keysMu.Lock()
	delete(e.keys, uid)
	e.keysMu.Unlock()
	e.apply(effects)
	e.reports.touch(key)
}

// finishedPods watches members that have succeeded, which the scheduler's own
// watch of pods leaves out. Of each only its metadata is kept.
func (e *engine) finishedPods() (cache.SharedIndexInformer, cache.ResourceEventHandlerRegistration, error) {
	list := cache.NewFilteredListWatchFromClient(e.handle.ClientSet().CoreV1().RESTClient(), "pods", metav1.NamespaceAll, func(o *metav1.ListOptions) {
		o.LabelSelector = kube.PodGroupLabel
		o.FieldSelector = fields.OneTermEqualSelector("status.phase", string(v1.PodSucceeded)).String()
	})
	informer := cache.NewSharedIndexInformer(list, &v1.Pod{}, 0, nil)
	err := informer.SetTransform(func(o any) (any, error) {
		if pod, ok := o.(*v1.Pod); ok {
			return &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, Labels: pod.Labels}}, nil
		}
		return o, nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("watch finished pods: %w", err)
	}
	seen, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			if pod, ok := o.(*v1.Pod); ok {
				key, _ := kube.GangOf(pod)
				e.step(core.MemberFinished{Key: key, UID: string(pod.UID)})
				e.reports.touch(key)
			}
		},
		DeleteFunc: func(o any) {
			if pod, ok := last(o).(*v1.Pod); ok {
				key, _ := kube.GangOf(pod)
				e.step(core.FinishedForgotten{Key: key, UID: string(pod.UID)})
				e.reports.touch(key)
			}
		},
	})
	return informer, seen, err
}

// group is a PodGroup with the status that the scheduler writes.
type group struct {
	*v1alpha1.PodGroup
	status kube.GroupStatus
}

// GetObjectMeta lets the informer's store find the object's name.
func (g *group) GetObjectMeta() metav1.Object { return g.PodGroup.GetObjectMeta() }

// told is the last reason that events have told of, as the status has it.
func (g *group) told() core.Code {
	condition := meta.FindStatusCondition(g.status.Conditions, kube.ScheduledCondition)
	switch {
	case condition == nil:
		return ""
	case condition.Status == metav1.ConditionTrue:
		return scheduled
	default:
		return core.Code(condition.Reason)
	}
}

// waitsSince is since when a gang waits that has no place: since it lost one, by its
// status, else since it was created.
func (g *group) waitsSince() time.Time {
	condition := meta.FindStatusCondition(g.status.Conditions, kube.ScheduledCondition)
	switch {
	case condition == nil:
		return g.CreationTimestamp.Time
	case condition.Status == metav1.ConditionTrue:
		return time.Now() // it has just lost its place, and that is not written yet
	default:
		return condition.LastTransitionTime.Time
	}
}

func decodeGroup(o any) (any, error) {
	object, ok := o.(*unstructured.Unstructured)
	if !ok {
		return o, nil
	}
	g := &group{PodGroup: &v1alpha1.PodGroup{}}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, g.PodGroup); err != nil {
		return nil, fmt.Errorf("PodGroup %s/%s: %w", object.GetNamespace(), object.GetName(), err)
	}
	if status, ok := object.Object["status"].(map[string]any); ok {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(status, &g.status); err != nil {
			return nil, fmt.Errorf("PodGroup %s/%s: status: %w", object.GetNamespace(), object.GetName(), err)
		}
	}
	return g, nil
}

func (e *engine) groupHandler() cache.ResourceEventHandler {
	seen := func(o any) {
		if g, ok := o.(*group); ok {
			e.mu.Lock()
			event := e.groupSeen(g)
			e.mu.Unlock()
			e.step(event)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    seen,
		UpdateFunc: func(_, o any) { seen(o) },
		DeleteFunc: func(o any) {
			if g, ok := last(o).(*group); ok {
				key := gang.Key{Namespace: g.Namespace, Name: g.Name}
				e.step(core.GroupGone{Key: key})
				e.reports.touch(key)
			}
		},
	}
}

// groupCache finds PodGroups by key.
type groupCache struct{ store cache.Store }

func (c *groupCache) find(key gang.Key) *group {
	o, exists, err := c.store.GetByKey(key.String())
	if err != nil || !exists {
		return nil
	}
	g, _ := o.(*group)
	return g
}

// get returns nil where there is no such PodGroup.
func (c *groupCache) get(key gang.Key) *v1alpha1.PodGroup {
	if g := c.find(key); g != nil {
		return g.PodGroup
	}
	return nil
}
