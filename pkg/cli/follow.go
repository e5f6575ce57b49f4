package cli

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// report is one change that the apiserver told. Exactly one of pod, job, event and
// err is set.
type report struct {
	at    time.Time
	pod   *corev1.Pod
	job   *kubeflowv1.PyTorchJob
	event *corev1.Event
	gone  bool  // it was deleted
	err   error // the apiserver refuses to tell more
}

// scope is what follow looks at: the PyTorchJobs of a namespace, or one of them, and
// on request their pods and events.
type scope struct {
	namespace    string
	job          string // its name; empty: all jobs, and all pods and events of the namespace
	pods, events bool
}

// follow reports every change within a scope, in the order of the watch of each kind,
// until ctx ends. It returns when the watches stand. A watch that breaks is taken up again.
func follow(caller context.Context, core kubernetes.Interface, dyn dynamic.Interface, s scope) (<-chan report, error) {
	ctx, cancel := context.WithCancelCause(caller)
	reports := make(chan report, 256)
	send := func(r report) {
		r.at = time.Now()
		select {
		case reports <- r:
		case <-ctx.Done():
		}
	}
	refused := func(_ context.Context, _ *cache.Reflector, err error) {
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err) {
			err = fmt.Errorf("watch namespace %s: %w", s.namespace, err)
			cancel(err)
			select {
			case reports <- report{err: err}:
			case <-caller.Done():
			}
		}
	}
	for _, informer := range s.informers(core, dyn) {
		if err := informer.SetWatchErrorHandlerWithContext(refused); err != nil {
			return nil, err
		}
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { reportOf(object, false, send) },
			UpdateFunc: func(_, object any) { reportOf(object, false, send) },
			DeleteFunc: func(object any) { reportOf(object, true, send) },
		})
		if err != nil {
			return nil, err
		}
		go informer.RunWithContext(ctx)
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return nil, context.Cause(ctx)
		}
	}
	return reports, nil
}

// informers are those that a scope needs.
func (s scope) informers(core kubernetes.Interface, dyn dynamic.Interface) []cache.SharedIndexInformer {
	named, labelled, about := fields.Everything(), labels.Everything(), fields.Everything()
	if s.job != "" {
		named = fields.OneTermEqualSelector("metadata.name", s.job)
		labelled = labels.SelectorFromSet(labels.Set{jobNameLabel: s.job})
		about = fields.OneTermEqualSelector("involvedObject.name", s.job)
	}
	all := []cache.SharedIndexInformer{
		dynamicinformer.NewFilteredDynamicInformer(dyn, jobResource, s.namespace, 0, nil,
			func(o *metav1.ListOptions) { o.FieldSelector = named.String() }).Informer(),
	}
	if s.pods {
		all = append(all, coreinformers.NewFilteredPodInformer(core, s.namespace, 0, nil,
			func(o *metav1.ListOptions) { o.LabelSelector = labelled.String() }))
	}
	if s.events {
		all = append(all, coreinformers.NewFilteredEventInformer(core, s.namespace, 0, nil,
			func(o *metav1.ListOptions) { o.FieldSelector = about.String() }))
	}
	return all
}

var jobResource = kubeflowv1.GroupVersion.WithResource(kubeflowv1.Plural)

func reportOf(object any, gone bool, send func(report)) {
	if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	switch o := object.(type) {
	case *corev1.Pod:
		send(report{pod: o, gone: gone})
	case *corev1.Event:
		send(report{event: o, gone: gone})
	case *unstructured.Unstructured:
		job := &kubeflowv1.PyTorchJob{}
		// The schema has let it through, so a failure here is a defect of the types.
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, job); err == nil {
			send(report{job: job, gone: gone})
		}
	}
}
