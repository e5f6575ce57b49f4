package plugin

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/kube"
)

// queues watches who may have how much: our own Queues and the ElasticQuotas of
// scheduler-plugins. Either kind may be missing from a cluster, and may come later.
type queues struct {
	engine         *engine
	queue, elastic cache.SharedIndexInformer
	news           atomic.Bool // there is something to say of queues
}

// lookAgain is how often a kind that is missing is looked for.
const lookAgain = time.Minute

func (e *engine) newQueues() *queues {
	q := &queues{engine: e}
	factory := dynamicinformer.NewDynamicSharedInformerFactory(e.dynamic, 0)
	q.queue = factory.ForResource(lockstepv1alpha1.Queues).Informer()
	q.elastic = factory.ForResource(kube.ElasticQuotas).Informer()
	return q
}

// start begins to watch and returns what has to have synced before anything is
// decided: the kinds that are there.
func (q *queues) start(ctx context.Context) ([]cache.InformerSynced, error) {
	var synced []cache.InformerSynced
	for resource, informer := range map[schema.GroupVersionResource]cache.SharedIndexInformer{
		lockstepv1alpha1.Queues: q.queue, kube.ElasticQuotas: q.elastic,
	} {
		seen, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { q.changed(ctx) },
			UpdateFunc: func(before, after any) { q.updated(ctx, before, after) },
			DeleteFunc: func(any) { q.changed(ctx) },
		})
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", resource.Resource, err)
		}
		if q.served(resource) {
			synced = append(synced, seen.HasSynced)
			go informer.RunWithContext(ctx)
			continue
		}
		go func() {
			there := func(context.Context) (bool, error) { return q.served(resource), nil }
			if wait.PollUntilContextCancel(ctx, lookAgain, false, there) == nil {
				informer.RunWithContext(ctx)
			}
		}()
	}
	return synced, nil
}

// served reports whether the apiserver knows a kind. Where it does not answer, the
// informer waits for it.
func (q *queues) served(resource schema.GroupVersionResource) bool {
	list, err := q.engine.handle.ClientSet().Discovery().ServerResourcesForGroupVersion(resource.GroupVersion().String())
	if err != nil {
		return false
	}
	for i := range list.APIResources {
		if list.APIResources[i].Name == resource.Resource {
			return true
		}
	}
	return false
}

// updated: a status alone changes nothing but what an earlier scheduler remembers.
func (q *queues) updated(ctx context.Context, before, after any) {
	old, ok := before.(*unstructured.Unstructured)
	object, is := after.(*unstructured.Unstructured)
	if !ok || !is || old.GetUID() != object.GetUID() || object.GetGeneration() == 0 || old.GetGeneration() != object.GetGeneration() {
		q.changed(ctx)
		return
	}
	q.engine.step(core.HistorySeen{Late: kube.Late(decodeAll[lockstepv1alpha1.Queue](ctx, q.queue))})
}

// changed reads all queues anew, tells the core, and with it which gang is in which.
func (q *queues) changed(ctx context.Context) {
	e := q.engine
	own, elastic := decodeAll[lockstepv1alpha1.Queue](ctx, q.queue), decodeAll[v1alpha1.ElasticQuota](ctx, q.elastic)
	e.mu.Lock()
	effects := e.core.Step(time.Now(), core.HistorySeen{Late: kube.Late(own)})
	event := core.QueuesSeen{}
	e.quota = nil
	if len(own)+len(elastic) > 0 {
		e.quota = kube.NewQuota(own, elastic, e.vocabulary)
		event = core.QueuesSeen{Tree: e.quota.Tree, Charge: e.charge}
		if len(e.quota.Models()) > 0 {
			event.Kind = e.kind
		}
		for _, fault := range e.quota.Faults {
			klog.FromContext(ctx).Error(nil, "A queue is wrong and counts as far as it makes sense", "fault", fault.String())
		}
	}
	effects = append(effects, e.core.Step(time.Now(), event)...)
	for _, o := range e.groups.store.List() {
		if g, ok := o.(*group); ok {
			effects = append(effects, e.core.Step(time.Now(), e.groupSeen(g))...)
		}
	}
	e.mu.Unlock()
	q.news.Store(true)
	e.apply(effects)
}

// charge is what amounts count as in the terms of the queues; it needs e.mu.
func (e *engine) charge(amounts cluster.Resources, class, node string) cluster.Resources {
	if place, known := e.mirror.places[node]; known {
		return e.quota.Charge(amounts, kube.ModelOf(e.mirror.objects[place]))
	}
	return e.quota.Charge(amounts, e.mirror.model(class, e.podOf, e.quota))
}

// groupSeen makes the event of a PodGroup; it needs e.mu.
func (e *engine) groupSeen(g *group) core.Event {
	return core.GroupSeen{Spec: e.quota.Spec(g.PodGroup), Reservation: g.status.Reservation.Promise(e.vocabulary)}
}

// kind is the type of a node's GPUs, where some queue speaks of it; it needs e.mu.
func (e *engine) kind(node string) string {
	if place, known := e.mirror.places[node]; known {
		return e.quota.Kind(e.mirror.objects[place])
	}
	return ""
}

// queueOf is the queue that a pod is charged to; it needs e.mu.
func (e *engine) queueOf(pod *v1.Pod) string {
	var group *v1alpha1.PodGroup
	if key, ok := kube.GangOf(pod); ok {
		group = e.groups.get(key)
	}
	return e.quota.QueueOfPod(pod, group)
}

// decodeAll reads what an informer holds. What cannot be read is left out and logged:
// the schema should not have let it in.
func decodeAll[T any](ctx context.Context, informer cache.SharedIndexInformer) []*T {
	var list []*T
	for _, o := range informer.GetStore().List() {
		object, ok := o.(*unstructured.Unstructured)
		if !ok {
			continue
		}
		out := new(T)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, out); err != nil {
			klog.FromContext(ctx).Error(err, "Read a queue", "kind", object.GetKind(), "name", object.GetName())
			continue
		}
		list = append(list, out)
	}
	return list
}
