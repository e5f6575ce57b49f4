package controller

import (
	"context"
	"fmt"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
)

// Options of Add.
type Options struct {
	Settings Settings
	Recorder record.EventRecorder
	// Workers is the number of jobs that are worked on at once. Zero: 4.
	Workers int
	// OtherOperator selects the pods of another controller of PyTorchJobs, beside which
	// this one stands aside. Empty: never.
	OtherOperator string
	// Board is where advice on sizes is left. Nil: there is none.
	Board *Board
}

// Names of the indexes of the caches.
const (
	indexController  = "lockstep.dev/controller-uid"
	indexScaleTarget = "lockstep.dev/scale-target"
)

// Scheme knows every type that the controller reads or writes.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1.AddToScheme, lockstepv1alpha1.AddToScheme, scheduling.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err) // two types of one name: a broken build
		}
	}
	return scheme
}

// Cache says what is kept in memory: of pods and Services, those of jobs only.
func Cache() cache.Options {
	mine := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{LabelOperatorName: OperatorName})}
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}: mine, &corev1.Service{}: mine, &corev1.PodTemplate{}: mine,
		},
	}
}

// Add puts the controller into a manager whose scheme and cache are the ones above.
func Add(ctx context.Context, mgr manager.Manager, options Options) error {
	if err := addIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	r := &Reconciler{
		Client:   mgr.GetClient(),
		Live:     mgr.GetAPIReader(),
		Cached:   mgr.GetCache(),
		Recorder: options.Recorder,
		Settings: options.Settings,
		Now:      time.Now,
		Board:    options.Board,
		Aside:    func() bool { return false },
		notes:    newNotebook(),
	}
	if err := (invalidObjects{mgr.GetClient()}).register(); err != nil {
		return err
	}
	if r.Board == nil {
		r.Board = NewBoard()
	}
	if options.OtherOperator != "" {
		if err := r.standAsideFor(ctx, mgr, options.OtherOperator); err != nil {
			return err
		}
	}
	workers := options.Workers
	if workers == 0 {
		workers = 4
	}
	build := ctrl.NewControllerManagedBy(mgr)
	if options.Settings.ProvisioningClass != "" {
		if err := r.watchProvisioning(ctx, mgr, build); err != nil {
			return err
		}
	}
	if err := r.watchQueues(ctx, mgr, build); err != nil {
		return err
	}
	return build.
		Named("pytorchjob").
		Watches(&v1.PyTorchJob{}, jobHandler()).
		Watches(&corev1.Pod{}, r.ownedHandler()).
		Watches(&corev1.Service{}, r.ownedHandler()).
		Watches(&scheduling.PodGroup{}, r.namesakeHandler()).
		Watches(&autoscalingv2.HorizontalPodAutoscaler{}, r.scalerHandler()).
		WatchesRawSource(source.Channel(r.Board.news, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

func (r *Reconciler) standAsideFor(ctx context.Context, mgr manager.Manager, selector string) error {
	parsed, err := labels.Parse(selector)
	if err != nil {
		return fmt.Errorf("selector of another operator: %w", err)
	}
	other := &otherOperator{reader: mgr.GetAPIReader(), selector: parsed, every: asideInterval}
	if err := other.look(ctx); err != nil {
		return fmt.Errorf("looking for another operator: %w", err)
	}
	r.Aside = other.present.Load
	return mgr.Add(other)
}

// watchProvisioning is only for clusters that know the foreign kind.
func (r *Reconciler) watchProvisioning(ctx context.Context, mgr manager.Manager, build *builder.Builder) error {
	if _, err := mgr.GetRESTMapper().RESTMapping(ProvisioningRequestKind.GroupKind(), ProvisioningRequestKind.Version); err != nil {
		return fmt.Errorf("a provisioning class is set, but the cluster does not serve %s, whose CRD comes with cluster-autoscaler: %w",
			ProvisioningRequestKind, err)
	}
	for _, object := range []client.Object{newRequest(), &corev1.PodTemplate{}} {
		if err := mgr.GetFieldIndexer().IndexField(ctx, object, indexController, byController); err != nil {
			return err
		}
		build.Watches(object, r.ownedHandler())
	}
	return nil
}

// byController is the key of an object that a job controls.
func byController(object client.Object) []string {
	if owner := controllerOf(object); owner != nil {
		return []string{string(owner.UID)}
	}
	return nil
}

func addIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	for _, object := range []client.Object{&corev1.Pod{}, &corev1.Service{}} {
		if err := indexer.IndexField(ctx, object, indexController, byController); err != nil {
			return err
		}
	}
	return indexer.IndexField(ctx, &autoscalingv2.HorizontalPodAutoscaler{}, indexScaleTarget, func(object client.Object) []string {
		if name := scaleTarget(object); name != "" {
			return []string{name}
		}
		return nil
	})
}

// scaleTarget is the job that an autoscaler scales.
func scaleTarget(object client.Object) string {
	hpa, ok := object.(*autoscalingv2.HorizontalPodAutoscaler)
	if !ok || hpa.Spec.ScaleTargetRef.Kind != v1.Kind {
		return ""
	}
	return hpa.Spec.ScaleTargetRef.Name
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

func enqueue(q queue, key types.NamespacedName) { q.Add(reconcile.Request{NamespacedName: key}) }

// gather is how long the news of a pod waits for more: a gang's pods change together.
const gather = 20 * time.Millisecond

func jobHandler() handler.Funcs {
	add := func(q queue, object client.Object) { enqueue(q, client.ObjectKeyFromObject(object)) }
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { add(q, e.Object) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { add(q, e.ObjectNew) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) {
			jobsDeleted.inc(e.Object.GetNamespace())
			add(q, e.Object)
		},
	}
}

// ownedHandler strikes expectations off and wakes the job that controls an object.
func (r *Reconciler) ownedHandler() handler.Funcs {
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { r.arrived(e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { r.changed(e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { r.left(e.Object, q) },
	}
}

func (r *Reconciler) arrived(object client.Object, q queue) {
	if key, ok := keyOf(object); ok {
		r.notes.seen(key, kindOf(object)+"/"+object.GetName())
		enqueue(q, key)
	}
}

func (r *Reconciler) changed(object client.Object, q queue) {
	key, ok := keyOf(object)
	if !ok {
		return
	}
	if object.GetDeletionTimestamp() != nil {
		r.notes.seen(key, string(object.GetUID()))
		if pod, isPod := object.(*corev1.Pod); isPod {
			r.notes.leaving(key, pod)
		}
	}
	q.AddAfter(reconcile.Request{NamespacedName: key}, gather)
}

func (r *Reconciler) left(object client.Object, q queue) {
	key, ok := keyOf(object)
	if !ok {
		return
	}
	if pod, isPod := object.(*corev1.Pod); isPod {
		r.notes.lost(key, pod)
	} else {
		r.notes.seen(key, string(object.GetUID()))
	}
	r.notes.freed(key, kindOf(object)+"/"+object.GetName())
	enqueue(q, key)
}

// namesakeHandler also wakes a job for an object of its name that it does not control.
func (r *Reconciler) namesakeHandler() handler.Funcs {
	funcs := r.ownedHandler()
	create, remove := funcs.CreateFunc, funcs.DeleteFunc
	funcs.CreateFunc = func(ctx context.Context, e event.CreateEvent, q queue) {
		create(ctx, e, q)
		enqueue(q, client.ObjectKeyFromObject(e.Object))
	}
	funcs.DeleteFunc = func(ctx context.Context, e event.DeleteEvent, q queue) {
		remove(ctx, e, q)
		enqueue(q, client.ObjectKeyFromObject(e.Object))
	}
	return funcs
}

// scalerHandler also wakes the job that somebody's autoscaler scales, and the one of its name.
func (r *Reconciler) scalerHandler() handler.Funcs {
	wake := func(object client.Object, q queue) {
		enqueue(q, client.ObjectKeyFromObject(object))
		if name := scaleTarget(object); name != "" {
			enqueue(q, types.NamespacedName{Namespace: object.GetNamespace(), Name: name})
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { r.arrived(e.Object, q); wake(e.Object, q) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { r.changed(e.ObjectNew, q); wake(e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { r.left(e.Object, q); wake(e.Object, q) },
	}
}
