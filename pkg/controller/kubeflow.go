package controller

import (
	"context"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// DefaultOtherOperator selects the pods of Kubeflow's training operator.
const DefaultOtherOperator = "control-plane=kubeflow-training-operator"

// otherOperator looks for another controller of PyTorchJobs: two must not run one job.
type otherOperator struct {
	reader   client.Reader
	selector labels.Selector
	every    time.Duration
	present  atomic.Bool
}

// look asks the apiserver for one running pod of the other operator.
func (o *otherOperator) look(ctx context.Context) error {
	pods := &corev1.PodList{}
	err := o.reader.List(ctx, pods, client.MatchingLabelsSelector{Selector: o.selector},
		client.MatchingFields{"status.phase": string(corev1.PodRunning)}, client.Limit(1))
	if err != nil {
		return err
	}
	if found := len(pods.Items) > 0; o.present.Swap(found) != found {
		if found {
			log.FromContext(ctx).Info("Another operator runs PyTorchJobs here: standing aside",
				"namespace", pods.Items[0].Namespace, "pod", pods.Items[0].Name)
		} else {
			log.FromContext(ctx).Info("The other operator is gone: running PyTorchJobs")
		}
	}
	return nil
}

// Start keeps looking until the context ends.
func (o *otherOperator) Start(ctx context.Context) error {
	ticker := time.NewTicker(o.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := o.look(ctx); err != nil {
				log.FromContext(ctx).Error(err, "Looking for another operator")
			}
		}
	}
}

// NeedLeaderElection is false: a standby has to know as well.
func (o *otherOperator) NeedLeaderElection() bool { return false }
