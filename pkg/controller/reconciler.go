package controller

import (
	"context"
	"slices"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// Reconciler carries out what Decide decides.
type Reconciler struct {
	// Client reads from caches and writes to the apiserver.
	Client client.Client
	// Live reads from the apiserver; used where a cache can't have the answer.
	Live client.Reader
	// Cached reads kinds without Go types, which Client reads from the apiserver.
	Cached   client.Reader
	Recorder record.EventRecorder
	Settings Settings
	Now      func() time.Time
	// Board has the advice on sizes.
	Board *Board
	// Aside says whether somebody else runs the jobs of this cluster.
	Aside func() bool

	notes *notebook
	// queues: the cluster knows queues, and they are watched.
	queues bool
}

// asideInterval is how often a job is looked at that somebody else runs.
const asideInterval = 30 * time.Second

// Reconcile looks at one job: reads, one decision, writes.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	job := &v1.PyTorchJob{}
	if err := r.Client.Get(ctx, request.NamespacedName, job); err != nil {
		if apierrors.IsNotFound(err) {
			r.notes.forget(request.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, err
	}
	if r.Aside() {
		r.notes.forget(request.NamespacedName)
		return ctrl.Result{RequeueAfter: asideInterval}, nil
	}
	r.notes.open(request.NamespacedName, job.UID)
	now := r.Now()
	if wait := r.notes.settled(request.NamespacedName, job.ResourceVersion, now); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	observed, err := r.observe(ctx, job, now)
	if err != nil {
		return ctrl.Result{}, err
	}
	return r.carryOut(ctx, observed, Decide(observed, r.Settings))
}

// observe reads the caches.
func (r *Reconciler) observe(ctx context.Context, job *v1.PyTorchJob, now time.Time) (Observed, error) {
	o := Observed{Job: job, Now: now, Advice: r.Board.of(job.UID)}
	mine := []client.ListOption{client.InNamespace(job.Namespace), client.MatchingFields{indexController: string(job.UID)},
		client.UnsafeDisableDeepCopy}
	pods, services := &corev1.PodList{}, &corev1.ServiceList{}
	if err := r.Client.List(ctx, pods, mine...); err != nil {
		return o, err
	}
	if err := r.Client.List(ctx, services, mine...); err != nil {
		return o, err
	}
	for i := range pods.Items {
		o.Pods = append(o.Pods, &pods.Items[i])
	}
	for i := range services.Items {
		o.Services = append(o.Services, &services.Items[i])
	}
	group := &scheduling.PodGroup{}
	switch err := r.Client.Get(ctx, client.ObjectKeyFromObject(job), group); {
	case err == nil:
		o.PodGroup = group
	case !apierrors.IsNotFound(err):
		return o, err
	}
	if err := r.observeAutoscalers(ctx, job, &o); err != nil {
		return o, err
	}
	if err := r.observeQueue(ctx, job, &o); err != nil {
		return o, err
	}
	if r.Settings.ProvisioningClass != "" {
		if err := r.observeProvisioning(ctx, &o, mine); err != nil {
			return o, err
		}
	}
	r.notes.on(client.ObjectKeyFromObject(job), func(p *page) {
		o.Gone, o.First = slices.Clip(p.gone), !p.decided
		o.Failed = p.failures(o.Pods, now)
		if p.trouble != nil && p.generation == job.Generation {
			o.Trouble = p.trouble
		}
	})
	return o, nil
}

// observeProvisioning finds the job's requests for machines.
func (r *Reconciler) observeProvisioning(ctx context.Context, o *Observed, mine []client.ListOption) error {
	requests, templates := newRequestList(), &corev1.PodTemplateList{}
	for _, list := range []client.ObjectList{requests, templates} {
		if err := r.Cached.List(ctx, list, mine...); err != nil {
			return err
		}
	}
	for i := range requests.Items {
		o.Requests = append(o.Requests, &requests.Items[i])
	}
	for i := range templates.Items {
		o.Templates = append(o.Templates, &templates.Items[i])
	}
	return nil
}

func newRequestList() *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(ProvisioningRequestKind.GroupVersion().WithKind(ProvisioningRequestKind.Kind + "List"))
	return list
}

func newRequest() *unstructured.Unstructured {
	request := &unstructured.Unstructured{}
	request.SetGroupVersionKind(ProvisioningRequestKind)
	return request
}

// observeAutoscalers finds the autoscaler of the job's name, and one of somebody else that
// scales the job. (KEDA scales through an autoscaler of its own making, so it shows here as well.)
func (r *Reconciler) observeAutoscalers(ctx context.Context, job *v1.PyTorchJob, o *Observed) error {
	scalers := &autoscalingv2.HorizontalPodAutoscalerList{}
	err := r.Client.List(ctx, scalers, client.InNamespace(job.Namespace),
		client.MatchingFields{indexScaleTarget: job.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return err
	}
	for i := range scalers.Items {
		hpa := &scalers.Items[i]
		owner := controllerOf(hpa)
		switch {
		case owner != nil && owner.UID == job.UID && hpa.Name == job.Name:
			o.HPA = hpa
		case o.Rival == "" || hpa.Name < o.Rival:
			o.Rival = hpa.Name
		}
	}
	if o.HPA != nil || o.Rival != "" {
		return nil
	}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	switch err := r.Client.Get(ctx, client.ObjectKeyFromObject(job), hpa); {
	case err == nil:
		o.HPA = hpa // it scales something else
	case !apierrors.IsNotFound(err):
		return err
	}
	return nil
}

// carryOut does what the plan says, the status first.
func (r *Reconciler) carryOut(ctx context.Context, o Observed, plan Plan) (ctrl.Result, error) {
	key := client.ObjectKeyFromObject(o.Job)
	if plan.Status != nil {
		if err := r.writeStatus(ctx, o.Job, plan.Status); err != nil {
			return settle(err)
		}
	}
	r.notes.on(key, func(p *page) { p.gone, p.decided = p.gone[len(o.Gone):], true })
	for _, event := range plan.Events {
		r.Recorder.Event(o.Job, event.Type, event.Reason, event.Message)
	}
	if err := r.delete(ctx, o, plan); err != nil {
		return settle(err)
	}
	refused, err := r.patch(ctx, o, plan)
	if err != nil {
		return settle(err)
	}
	retry, err := r.create(ctx, o, plan)
	if err != nil {
		return settle(err)
	}
	wake := max(refused, retry)
	if wake == 0 && o.Trouble != nil && !o.Now.Before(o.Trouble.Retry) { // all was tried, and went through
		r.notes.succeeded(key)
		wake = time.Millisecond
	}
	if !plan.Wake.IsZero() {
		// At least a moment, so that a wake-up is never lost to rounding.
		until := max(plan.Wake.Sub(o.Now), 10*time.Millisecond)
		if wake == 0 || until < wake {
			wake = until
		}
	}
	return ctrl.Result{RequeueAfter: wake}, nil
}

// settle: an outdated view is no error, the next one is on its way.
func settle(err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	return ctrl.Result{}, err
}

// writeStatus replaces the status that was decided on, and no other.
func (r *Reconciler) writeStatus(ctx context.Context, job *v1.PyTorchJob, status *v1.JobStatus) error {
	next := job.DeepCopy()
	next.Status = *status
	patch := client.MergeFromWithOptions(job, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Status().Patch(ctx, next, patch); err != nil {
		return err
	}
	r.notes.wrote(client.ObjectKeyFromObject(job), next.ResourceVersion)
	countTransitions(job, status)
	return nil
}

// keyOf is the job that an object belongs to.
func keyOf(object client.Object) (types.NamespacedName, bool) {
	owner := controllerOf(object)
	if owner == nil {
		return types.NamespacedName{}, false
	}
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: owner.Name}, true
}
