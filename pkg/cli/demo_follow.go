package cli

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// report is one change that the apiserver told. Exactly one of pod, job and event
// is set.
type report struct {
	at    time.Time
	pod   *corev1.Pod
	job   *kubeflowv1.PyTorchJob
	event *corev1.Event
	gone  bool // it was deleted
}

// follow reports every change of pods, PyTorchJobs and events in a namespace, in
// the order of the watch of each kind, until ctx ends. It returns when the watches stand.
func follow(ctx context.Context, core kubernetes.Interface, dyn dynamic.Interface, namespace string) (<-chan report, error) {
	reports := make(chan report, 256)
	send := func(r report) {
		r.at = time.Now()
		select {
		case reports <- r:
		case <-ctx.Done():
		}
	}
	typed := informers.NewSharedInformerFactoryWithOptions(core, 0, informers.WithNamespace(namespace))
	untyped := dynamicinformer.NewFilteredDynamicSharedInformerFactory(dyn, 0, namespace, nil)
	for _, informer := range []cache.SharedIndexInformer{
		typed.Core().V1().Pods().Informer(),
		typed.Core().V1().Events().Informer(),
		untyped.ForResource(jobResource).Informer(),
	} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { reportOf(object, false, send) },
			UpdateFunc: func(_, object any) { reportOf(object, false, send) },
			DeleteFunc: func(object any) { reportOf(object, true, send) },
		}); err != nil {
			return nil, fmt.Errorf("watch namespace %s: %w", namespace, err)
		}
	}
	typed.Start(ctx.Done())
	untyped.Start(ctx.Done())
	for kind, synced := range typed.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return nil, fmt.Errorf("watch %v in namespace %s: %w", kind, namespace, context.Cause(ctx))
		}
	}
	for kind, synced := range untyped.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return nil, fmt.Errorf("watch %v in namespace %s: %w", kind, namespace, context.Cause(ctx))
		}
	}
	return reports, nil
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
