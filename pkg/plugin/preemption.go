package plugin

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultpreemption"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/preemption"

	configv1alpha1 "lockstep.dev/lockstep/pkg/apis/config/v1alpha1"
	"lockstep.dev/lockstep/pkg/kube"
)

// PreemptionName is the name of the plugin that stands in for DefaultPreemption.
const PreemptionName = configv1alpha1.PreemptionName

// PodPreemption is the scheduler's own preemption for pods without a gang, with
// one rule more: a member of a gang is no victim, because evicting it would leave
// a part of the gang behind.
type PodPreemption struct {
	*defaultpreemption.DefaultPreemption
}

// Name implements fwk.Plugin.
func (p *PodPreemption) Name() string { return PreemptionName }

// NewPodPreemption is the plugin's factory.
func NewPodPreemption(ctx context.Context, _ runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	args := &config.DefaultPreemptionArgs{MinCandidateNodesPercentage: 10, MinCandidateNodesAbsolute: 100} // the defaults
	plugin, err := defaultpreemption.New(ctx, args, handle, feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate))
	if err != nil {
		return nil, err
	}
	plugin.IsEligiblePod = func(_ fwk.NodeInfo, victim preemption.Victim, _ *v1.Pod) bool {
		for _, info := range victim.Pods() {
			if _, member := kube.GangOf(info.GetPod()); member {
				return false
			}
		}
		return true
	}
	return &PodPreemption{plugin}, nil
}
