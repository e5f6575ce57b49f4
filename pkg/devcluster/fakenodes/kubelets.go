package fakenodes

import (
	"encoding/json"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kwok/pkg/config/resources"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	"sigs.k8s.io/kwok/pkg/utils/gotpl"
	"sigs.k8s.io/kwok/pkg/utils/informer"
)

const (
	// podCIDR is where pods get addresses from; nodes have theirs below it.
	podCIDR = "10.64.0.0/10"
	// podWorkers is how many pods are written at the same time.
	podWorkers   = 32
	leaseWorkers = 4
)

// startLeases makes kwok renew the lease of each node that is handed to it.
func (f *Fleet) startLeases(lease time.Duration) (err error) {
	f.leases, err = controllers.NewNodeLeaseController(controllers.NodeLeaseControllerConfig{
		TypedClient:          f.client,
		HolderIdentity:       "fakenodes",
		LeaseDurationSeconds: uint(lease / time.Second),
		LeaseParallelism:     leaseWorkers,
		RenewInterval:        lease / 4,
		RenewIntervalJitter:  0.1,
		GetLease:             f.watched.lease,
		MutateLeaseFunc:      f.ownLease,
	})
	if err != nil {
		return fmt.Errorf("leases: %w", err)
	}
	return f.leases.Start(f.ctx)
}

// ownLease makes a lease go with its node.
func (f *Fleet) ownLease(lease *coordinationv1.Lease) error {
	node, ok := f.watched.Get(lease.Name)
	if !ok {
		return fmt.Errorf("node %s does not exist", lease.Name)
	}
	lease.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}}
	return nil
}

// startPods makes kwok move the pods whose events come through podEvents.
func (f *Fleet) startPods() error {
	stages, err := podLifecycle()
	if err != nil {
		return err
	}
	controller, err := controllers.NewPodController(controllers.PodControllerConfig{
		TypedClient:          carefulClient{f.client, f.watched},
		NodeCacheGetter:      f.watched,
		CIDR:                 podCIDR,
		Lifecycle:            resources.NewStaticGetter(stages),
		PlayStageParallelism: podWorkers,
		NodeGetFunc: func(node string) (*controllers.NodeInfo, bool) {
			return nil, f.health(node) == alive // kwok asks whether, not for the value
		},
		FuncMap: gotpl.FuncMap{"NeedAlive": f.needAlive, "Precondition": precondition, "Refusal": refusal},
	})
	if err != nil {
		return fmt.Errorf("pods: %w", err)
	}
	f.podEvents = make(chan informer.Event[*corev1.Pod])
	return controller.Start(f.ctx, f.podEvents)
}

// needAlive is called in the templates of stages: an error gives the stage up,
// which is what happens to a pod whose machine is gone.
func (f *Fleet) needAlive(node string) (string, error) {
	if f.health(node) != alive {
		return "", fmt.Errorf("node %s is down", node)
	}
	return "", nil
}

// precondition is the metadata of a patch that must meet the very pod that the
// stage has seen, and not a later one of the same name.
func precondition(metadata map[string]any) (string, error) {
	text, err := json.Marshal(map[string]any{"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]})
	return string(text), err
}

// onPod hands an event to kwok.
func (f *Fleet) onPod(kind informer.EventType, pod *corev1.Pod) {
	select {
	case f.podEvents <- informer.Event[*corev1.Pod]{Type: kind, Object: pod}:
	case <-f.ctx.Done():
	}
}

// onNode takes nodes of others up.
func (f *Fleet) onNode(node *corev1.Node) {
	if f.health(node.Name) == foreign {
		f.setHealth(node.Name, alive)
		f.catchUp(node.Name)
	}
	if f.health(node.Name) == alive {
		f.leases.TryHold(node.Name)
	}
}

// onNodeGone lets a node go.
func (f *Fleet) onNodeGone(node string) {
	f.setHealth(node, foreign)
	f.leases.ReleaseHold(node)
}

// catchUp looks again at the pods of a node, whose events were not for us so far.
func (f *Fleet) catchUp(node string) {
	for _, pod := range f.watched.podsOn(node) {
		f.onPod(informer.Sync, pod)
	}
}
