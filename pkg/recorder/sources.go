package recorder

import (
	"context"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/dynamicinformer"
	coordinationinformers "k8s.io/client-go/informers/coordination/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"
	schedulingv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/invariants"
	"lockstep.dev/lockstep/pkg/kube"
)

// source is one kind of objects that is watched.
type source struct {
	resource  string
	needed    bool   // there is no history without it
	without   string // what is not judged where it may not be read
	absent    string // what to say where the cluster does not know it; empty: nothing
	probe     func(ctx context.Context) error
	informer  func() cache.SharedIndexInformer
	translate func(object any) (invariants.Event, error)
	// clusterWide objects are in no namespace.
	clusterWide bool
}

var jobs = kubeflowv1.GroupVersion.WithResource(kubeflowv1.Plural)

// one asks for as little as tells whether a list is allowed.
var one = metav1.ListOptions{Limit: 1}

// sources are all kinds, in the order in which they are listed.
func (r *Recording) sources() []source {
	o := r.options
	core := o.Client.CoreV1()
	reported := fields.OneTermEqualSelector("reportingComponent", "lockstep").String()
	leaseName := fields.OneTermEqualSelector("metadata.name", o.LeaseName).String()
	return []source{
		{
			resource: "nodes", needed: true,
			probe:    func(ctx context.Context) error { _, err := core.Nodes().List(ctx, one); return err },
			informer: func() cache.SharedIndexInformer { return coreinformers.NewNodeInformer(o.Client, 0, nil) },
			translate: func(object any) (invariants.Event, error) {
				return typed(object, func(n *corev1.Node) invariants.Event {
					return invariants.Event{Node: kube.HistoryNode(n, o.Vocabulary)}
				})
			},
		},
		r.custom(kube.PodGroups, source{needed: true}, func(u *unstructured.Unstructured) (invariants.Event, error) {
			group, status := &schedulingv1alpha1.PodGroup{}, struct {
				Status kube.GroupStatus `json:"status"`
			}{}
			err := decode(u, group)
			if err == nil {
				err = decode(u, &status)
			}
			return invariants.Event{Group: kube.HistoryGroup(group, status.Status)}, err
		}),
		r.custom(jobs, source{without: "S10 is not judged"}, func(u *unstructured.Unstructured) (invariants.Event, error) {
			job := &kubeflowv1.PyTorchJob{}
			err := decode(u, job)
			return invariants.Event{Job: kube.HistoryJob(job)}, err
		}),
		r.custom(kube.ElasticQuotas, source{without: "S8 is not judged for them"}, func(u *unstructured.Unstructured) (invariants.Event, error) {
			quota := &schedulingv1alpha1.ElasticQuota{}
			err := decode(u, quota)
			return invariants.Event{Quota: kube.HistoryQuota(quota, o.Vocabulary)}, err
		}),
		r.custom(lockstepv1alpha1.Queues, source{clusterWide: true, without: "S8 is not judged for them"}, func(u *unstructured.Unstructured) (invariants.Event, error) {
			queue := &lockstepv1alpha1.Queue{}
			err := decode(u, queue)
			return invariants.Event{Queue: kube.HistoryQueue(queue, o.Vocabulary)}, err
		}),
		{
			resource: "pods", needed: true,
			probe:    func(ctx context.Context) error { _, err := core.Pods(o.Namespace).List(ctx, one); return err },
			informer: func() cache.SharedIndexInformer { return coreinformers.NewPodInformer(o.Client, o.Namespace, 0, nil) },
			translate: func(object any) (invariants.Event, error) {
				return typed(object, func(p *corev1.Pod) invariants.Event { return invariants.Event{Pod: kube.HistoryPod(p, o.Vocabulary)} })
			},
		},
		{
			resource: "events", without: "what the scheduler tells is not compared with what it does (S3, S4, L3)",
			probe: func(ctx context.Context) error { _, err := core.Events(o.Namespace).List(ctx, one); return err },
			informer: func() cache.SharedIndexInformer {
				return coreinformers.NewFilteredEventInformer(o.Client, o.Namespace, 0, nil, func(l *metav1.ListOptions) { l.FieldSelector = reported })
			},
			translate: func(object any) (invariants.Event, error) {
				return typed(object, func(e *corev1.Event) invariants.Event { return invariants.Event{Notice: kube.HistoryNotice(e)} })
			},
		},
		{
			resource: "leases of namespace " + o.LeaseNamespace, without: "S5 is not judged",
			probe: func(ctx context.Context) error {
				_, err := o.Client.CoordinationV1().Leases(o.LeaseNamespace).List(ctx, metav1.ListOptions{FieldSelector: leaseName})
				return err
			},
			informer: func() cache.SharedIndexInformer {
				return coordinationinformers.NewFilteredLeaseInformer(o.Client, o.LeaseNamespace, 0, nil, func(l *metav1.ListOptions) { l.FieldSelector = leaseName })
			},
			translate: func(object any) (invariants.Event, error) {
				return typed(object, func(l *coordinationv1.Lease) invariants.Event { return invariants.Event{Lease: kube.HistoryLease(l)} })
			},
		},
	}
}

// custom is a source of objects of a custom resource.
func (r *Recording) custom(of schema.GroupVersionResource, s source, translate func(*unstructured.Unstructured) (invariants.Event, error)) source {
	o := r.options
	if s.clusterWide {
		o.Namespace = metav1.NamespaceAll
	}
	s.resource = of.GroupResource().String()
	s.probe = func(ctx context.Context) error {
		_, err := o.Dynamic.Resource(of).Namespace(o.Namespace).List(ctx, one)
		return err
	}
	s.informer = func() cache.SharedIndexInformer {
		return dynamicinformer.NewFilteredDynamicInformer(o.Dynamic, of, o.Namespace, 0, nil, nil).Informer()
	}
	s.translate = func(object any) (invariants.Event, error) {
		u, ok := object.(*unstructured.Unstructured)
		if !ok {
			return invariants.Event{}, fmt.Errorf("%T is no object of %s", object, s.resource)
		}
		return translate(u)
	}
	return s
}

// typed translates an object of a known type.
func typed[T any](object any, translate func(T) invariants.Event) (invariants.Event, error) {
	o, ok := object.(T)
	if !ok {
		return invariants.Event{}, fmt.Errorf("%T is not what was asked for", object)
	}
	return translate(o), nil
}

func decode(u *unstructured.Unstructured, into any) error {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into); err != nil {
		return fmt.Errorf("%s %s/%s: %w", u.GetKind(), u.GetNamespace(), u.GetName(), err)
	}
	return nil
}

// objectMeta is what tells an object from others.
func objectMeta(object any) (metav1.ObjectMeta, error) {
	m, err := meta.Accessor(object)
	if err != nil {
		return metav1.ObjectMeta{}, err
	}
	return metav1.ObjectMeta{Namespace: m.GetNamespace(), Name: m.GetName(), UID: m.GetUID(), ResourceVersion: m.GetResourceVersion()}, nil
}
