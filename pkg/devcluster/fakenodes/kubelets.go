package fakenodes

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/kwok/pkg/config/resources"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/gotpl"
	"sigs.k8s.io/kwok/pkg/utils/informer"
)

const (
	// podCIDR is where pods get addresses from; nodes have theirs below it.
	podCIDR = "10.64.0.0/10"
	// podWorkers is how many pods are written at the same time. kwok's own
	// default, 4, is what makes it slow.
	podWorkers   = 32
	leaseWorkers = 8
)

type (
	podInformer   = informer.Informer[*corev1.Pod, *corev1.PodList]
	leaseInformer = informer.Informer[*coordinationv1.Lease, *coordinationv1.LeaseList]
	nodeInformer  = informer.Informer[*corev1.Node, *corev1.NodeList]
)

// kubelets is what stands in for the kubelets of all nodes: kwok's controllers
// for pods and for leases. kwok's top-level controller is not used: it lists the
// pods of each node once more when the node appears, and it publishes its parts
// without synchronisation when the stages come from memory.
type kubelets struct {
	nodes     informer.Getter[*corev1.Node]
	leases    *controllers.NodeLeaseController
	pods      *podInformer
	podEvents chan informer.Event[*corev1.Pod]
}

func (f *Fleet) startKubelets(options FleetOptions) error {
	nodeEvents := make(chan informer.Event[*corev1.Node])
	nodes := informer.NewInformer[*corev1.Node, *corev1.NodeList](f.client.CoreV1().Nodes())
	var err error
	f.nodes, err = nodes.WatchWithCache(f.ctx, informer.Option{LabelSelector: TypeLabel + "=" + TypeKwok}, nodeEvents)
	if err != nil {
		return fmt.Errorf("watch nodes: %w", err)
	}
	if err := f.startLeases(options.Lease); err != nil {
		return fmt.Errorf("leases: %w", err)
	}
	if err := f.startPods(); err != nil {
		return fmt.Errorf("pods: %w", err)
	}
	go f.followNodes(nodeEvents)
	return nil
}

func (f *Fleet) startLeases(lease time.Duration) error {
	informerOfLeases := informer.NewInformer[*coordinationv1.Lease, *coordinationv1.LeaseList](
		f.client.CoordinationV1().Leases(corev1.NamespaceNodeLease))
	cache, err := informerOfLeases.WatchWithCache(f.ctx, informer.Option{}, nil)
	if err != nil {
		return err
	}
	f.leases, err = controllers.NewNodeLeaseController(controllers.NodeLeaseControllerConfig{
		TypedClient:          f.client,
		HolderIdentity:       "fakenodes",
		LeaseDurationSeconds: uint(lease / time.Second),
		LeaseParallelism:     leaseWorkers,
		RenewInterval:        lease / 4,
		RenewIntervalJitter:  0.1,
		GetLease: func(node string) (*coordinationv1.Lease, bool) {
			return cache.GetWithNamespace(node, corev1.NamespaceNodeLease)
		},
		MutateLeaseFunc: f.ownLease,
	})
	if err != nil {
		return err
	}
	return f.leases.Start(f.ctx)
}

// ownLease makes a lease go with its node.
func (f *Fleet) ownLease(lease *coordinationv1.Lease) error {
	node, ok := f.nodes.Get(lease.Name)
	if !ok {
		return fmt.Errorf("node %s does not exist", lease.Name)
	}
	lease.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}}
	return nil
}

func (f *Fleet) startPods() error {
	stages, err := podLifecycle()
	if err != nil {
		return err
	}
	f.podEvents = make(chan informer.Event[*corev1.Pod], 1)
	f.pods = informer.NewInformer[*corev1.Pod, *corev1.PodList](f.client.CoreV1().Pods(corev1.NamespaceAll))
	controller, err := controllers.NewPodController(controllers.PodControllerConfig{
		TypedClient:          f.client,
		NodeCacheGetter:      f.nodes,
		CIDR:                 podCIDR,
		Lifecycle:            resources.NewStaticGetter(stages),
		PlayStageParallelism: podWorkers,
		NodeGetFunc: func(node string) (*controllers.NodeInfo, bool) {
			return nil, f.health(node) == alive // kwok asks whether, not for the value
		},
		FuncMap: gotpl.FuncMap{"NeedAlive": f.needAlive, "Refusal": refusal},
	})
	if err != nil {
		return err
	}
	if err := controller.Start(f.ctx, f.podEvents); err != nil {
		return err
	}
	bound := fields.OneTermNotEqualSelector("spec.nodeName", "").String()
	return f.pods.Watch(f.ctx, informer.Option{FieldSelector: bound}, f.podEvents)
}

// needAlive is called in the templates of stages: an error gives the stage up,
// which is what happens to a pod whose machine is gone.
func (f *Fleet) needAlive(node string) (string, error) {
	if f.health(node) != alive {
		return "", fmt.Errorf("node %s is down", node)
	}
	return "", nil
}

// followNodes takes nodes of others up, and lets nodes that are gone go.
func (f *Fleet) followNodes(events <-chan informer.Event[*corev1.Node]) {
	for {
		select {
		case <-f.ctx.Done():
			return
		case event := <-events:
			name := event.Object.Name
			if event.Type == informer.Deleted {
				f.setHealth(name, foreign)
				f.leases.ReleaseHold(name)
				continue
			}
			if f.health(name) == foreign {
				f.setHealth(name, alive)
				f.catchUp(f.ctx, name)
			}
			if f.health(name) == alive {
				f.leases.TryHold(name)
			}
		}
	}
}

// catchUp looks again at the pods of a node, whose events were not for us so far.
func (f *Fleet) catchUp(ctx context.Context, node string) {
	onNode := fields.OneTermEqualSelector("spec.nodeName", node).String()
	if err := f.pods.Sync(ctx, informer.Option{FieldSelector: onNode}, f.podEvents); err != nil && ctx.Err() == nil {
		log.FromContext(ctx).Error("pods of a node could not be listed; they stay as they are until they change",
			"node", node, "err", err)
	}
}
