package cli

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"
	schedulingv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/kube"
)

// clusterReader lists what decides where gangs go.
type clusterReader struct {
	client  kubernetes.Interface
	dynamic dynamic.Interface
}

func newClusterReader(flags *genericclioptions.ConfigFlags) (*clusterReader, error) {
	config, err := flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 100, 200 // lists come in pages
	r := &clusterReader{}
	if r.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if r.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	return r, nil
}

// fill lists nodes, pods and pod groups of all namespaces. Where the caller may not
// read other namespaces it keeps to the one given, and notes that.
func (r *clusterReader) fill(ctx context.Context, w *world, namespace string) error {
	err := eachPage(ctx, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return r.client.CoreV1().Nodes().List(ctx, o)
	}, func(object runtime.Object) error {
		w.Nodes = append(w.Nodes, object.(*corev1.Node))
		return nil
	})
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("list nodes: %w; this looks at all of them: have the ClusterRole lockstep-observer bound to you", err)
	} else if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	err = r.everywhere(w, "pods", namespace, func(namespace string) error {
		return eachPage(ctx, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return r.client.CoreV1().Pods(namespace).List(ctx, o)
		}, func(object runtime.Object) error {
			w.Pods = append(w.Pods, object.(*corev1.Pod))
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	err = r.everywhere(w, "podgroups.scheduling.x-k8s.io", namespace, func(namespace string) error {
		return eachPage(ctx, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return r.dynamic.Resource(kube.PodGroups).Namespace(namespace).List(ctx, o)
		}, w.addGroup)
	})
	if apierrors.IsNotFound(err) {
		w.notes = append(w.notes, "the cluster has no podgroups.scheduling.x-k8s.io: is Lockstep installed?")
	} else if err != nil {
		return fmt.Errorf("list podgroups.scheduling.x-k8s.io: %w", err)
	}
	w.Now = time.Now()
	if err := r.queues(ctx, w); err != nil {
		return err
	}
	return r.classes(ctx, w)
}

// queues lists those of either kind that the cluster knows.
func (r *clusterReader) queues(ctx context.Context, w *world) error {
	for _, of := range []struct {
		resource schema.GroupVersionResource
		take     func(*unstructured.Unstructured) error
	}{
		{lockstepv1alpha1.Queues, func(u *unstructured.Unstructured) (err error) { w.Queues, err = decoded(w.Queues, u); return }},
		{kube.ElasticQuotas, func(u *unstructured.Unstructured) (err error) { w.Quotas, err = decoded(w.Quotas, u); return }},
	} {
		err := eachPage(ctx, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return r.dynamic.Resource(of.resource).List(ctx, o)
		}, func(object runtime.Object) error { return of.take(object.(*unstructured.Unstructured)) })
		name := of.resource.GroupResource().String()
		switch {
		case apierrors.IsForbidden(err):
			w.notes = append(w.notes, fmt.Sprintf("you may not list %s: what they guarantee and cap is not counted", name))
		case err != nil && !apierrors.IsNotFound(err):
			return fmt.Errorf("list %s: %w", name, err)
		}
	}
	return nil
}

// decoded is a list with one more object.
func decoded[T any](list []*T, u *unstructured.Unstructured) ([]*T, error) {
	object := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, object); err != nil {
		return list, fmt.Errorf("%s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return append(list, object), nil
}

// everywhere lists in all namespaces, or in one where the caller may not do that.
func (r *clusterReader) everywhere(w *world, resource, namespace string, list func(namespace string) error) error {
	err := list(metav1.NamespaceAll)
	if !apierrors.IsForbidden(err) {
		return err
	}
	w.notes = append(w.notes, fmt.Sprintf("you may not list %s of all namespaces: those outside of %s are not counted, so less may be free than it seems",
		resource, namespace))
	return list(namespace)
}

// classes are needed for manifests only; pods of a cluster bear their priority.
func (r *clusterReader) classes(ctx context.Context, w *world) error {
	list, err := r.client.SchedulingV1().PriorityClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		if apierrors.IsForbidden(err) {
			return nil
		}
		return fmt.Errorf("list priority classes: %w", err)
	}
	for i := range list.Items {
		w.classes = append(w.classes, &list.Items[i])
	}
	return nil
}

// budgets are needed for victims only.
func (r *clusterReader) budgets(ctx context.Context, w *world, namespace string) error {
	err := r.everywhere(w, "poddisruptionbudgets.policy", namespace, func(namespace string) error {
		return eachPage(ctx, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return r.client.PolicyV1().PodDisruptionBudgets(namespace).List(ctx, o)
		}, func(object runtime.Object) error {
			w.Budgets = append(w.Budgets, object.(*policyv1.PodDisruptionBudget))
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("list poddisruptionbudgets.policy: %w", err)
	}
	return nil
}

func (w *world) addGroup(object runtime.Object) error {
	u := object.(*unstructured.Unstructured)
	group := &schedulingv1alpha1.PodGroup{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, group); err != nil {
		return fmt.Errorf("PodGroup %s/%s: %w", u.GetNamespace(), u.GetName(), err)
	}
	w.PodGroups = append(w.PodGroups, group)
	var known kube.GroupStatus
	if status, ok := u.Object["status"].(map[string]any); ok {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(status, &known); err != nil {
			return fmt.Errorf("PodGroup %s/%s: status: %w", u.GetNamespace(), u.GetName(), err)
		}
	}
	w.remember(group, known)
	return nil
}

// eachPage visits the objects of a list that comes in pages.
func eachPage(ctx context.Context, page pager.ListPageFunc, visit func(runtime.Object) error) error {
	return pager.New(page).EachListItem(ctx, metav1.ListOptions{}, visit)
}
