package fakenodes

import (
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	coordinationinformers "k8s.io/client-go/informers/coordination/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/kwok/pkg/utils/informer"
)

// nodeNameIndex finds pods by the node that they are bound to.
const nodeNameIndex = "nodeName"

// watched is what is known of the cluster. kwok's own informers are not used:
// whatever version they are asked to go on from, they start from the current
// state, so each time that a busy watch breaks off all pods come again.
//
// It is a kwok informer.Getter of nodes.
type watched struct {
	nodes, pods, leases cache.SharedIndexInformer
}

func newWatched(client kubernetes.Interface) (*watched, error) {
	w := &watched{
		nodes: coreinformers.NewFilteredNodeInformer(client, 0, cache.Indexers{}, func(o *metav1.ListOptions) {
			o.LabelSelector = TypeLabel + "=" + TypeKwok
		}),
		pods: coreinformers.NewFilteredPodInformer(client, corev1.NamespaceAll, 0, cache.Indexers{
			nodeNameIndex: func(object any) ([]string, error) { return []string{object.(*corev1.Pod).Spec.NodeName}, nil },
		}, func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermNotEqualSelector("spec.nodeName", "").String()
		}),
		leases: coordinationinformers.NewLeaseInformer(client, corev1.NamespaceNodeLease, 0, cache.Indexers{}),
	}
	for _, i := range []cache.SharedIndexInformer{w.nodes, w.pods, w.leases} {
		if err := i.SetTransform(withoutManagedFields); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// withoutManagedFields halves what an object takes in memory.
func withoutManagedFields(object any) (any, error) {
	if o, err := meta.Accessor(object); err == nil {
		o.SetManagedFields(nil)
	}
	return object, nil
}

// watch follows the cluster until the fleet's context ends. It returns when the
// first lists are complete.
func (f *Fleet) watch() error {
	_, err := f.watched.nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { f.onNode(object.(*corev1.Node)) },
		UpdateFunc: func(_, object any) { f.onNode(object.(*corev1.Node)) },
		DeleteFunc: func(object any) {
			if name, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
				f.onNodeGone(name)
			}
		},
	})
	if err != nil {
		return err
	}
	_, err = f.watched.pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { f.onPod(informer.Added, object.(*corev1.Pod)) },
		UpdateFunc: func(old, object any) {
			if pod := object.(*corev1.Pod); pod.ResourceVersion != old.(*corev1.Pod).ResourceVersion {
				f.onPod(informer.Modified, pod)
			}
		},
		DeleteFunc: func(object any) {
			if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = unknown.Obj
			}
			if pod, ok := object.(*corev1.Pod); ok {
				f.onPod(informer.Deleted, pod)
			}
		},
	})
	if err != nil {
		return err
	}
	synced := []cache.InformerSynced{f.watched.nodes.HasSynced, f.watched.pods.HasSynced, f.watched.leases.HasSynced}
	for _, i := range []cache.SharedIndexInformer{f.watched.nodes, f.watched.pods, f.watched.leases} {
		go i.RunWithContext(f.ctx)
	}
	if !cache.WaitForCacheSync(f.ctx.Done(), synced...) {
		return fmt.Errorf("list nodes, pods and leases: %w", f.ctx.Err())
	}
	return nil
}

// Get is the node of that name.
func (w *watched) Get(name string) (*corev1.Node, bool) {
	object, ok, err := w.nodes.GetStore().GetByKey(name)
	if err != nil || !ok {
		return nil, false
	}
	return object.(*corev1.Node), true
}

// GetWithNamespace is Get: nodes have no namespace.
func (w *watched) GetWithNamespace(name, _ string) (*corev1.Node, bool) { return w.Get(name) }

// List is all fake nodes.
func (w *watched) List() []*corev1.Node {
	var nodes []*corev1.Node
	for _, object := range w.nodes.GetStore().List() {
		nodes = append(nodes, object.(*corev1.Node))
	}
	return nodes
}

func (w *watched) lease(node string) (*coordinationv1.Lease, bool) {
	object, ok, err := w.leases.GetStore().GetByKey(corev1.NamespaceNodeLease + "/" + node)
	if err != nil || !ok {
		return nil, false
	}
	return object.(*coordinationv1.Lease), true
}

func (w *watched) pod(namespace, name string) (*corev1.Pod, bool) {
	object, ok, err := w.pods.GetStore().GetByKey(namespace + "/" + name)
	if err != nil || !ok {
		return nil, false
	}
	return object.(*corev1.Pod), true
}

func (w *watched) podsOn(node string) []*corev1.Pod {
	objects, err := w.pods.GetIndexer().ByIndex(nodeNameIndex, node)
	if err != nil {
		return nil // there is no such index: there is
	}
	var pods []*corev1.Pod
	for _, object := range objects {
		pods = append(pods, object.(*corev1.Pod))
	}
	return pods
}
