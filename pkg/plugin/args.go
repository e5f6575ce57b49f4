package plugin

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"

	configv1alpha1 "lockstep.dev/lockstep/pkg/apis/config/v1alpha1"
	"lockstep.dev/lockstep/pkg/topology"
)

// decodeArgs reads what stands in the scheduler's configuration, which hands the
// arguments of plugins that are not its own through as they are.
func decodeArgs(object runtime.Object) (*configv1alpha1.LockstepArgs, error) {
	switch o := object.(type) {
	case nil:
		return configv1alpha1.Decode(nil)
	case *runtime.Unknown:
		return configv1alpha1.Decode(o.Raw)
	}
	return nil, fmt.Errorf("unexpected type %T", object)
}

// levels are those that the arguments name; none means that they are found.
func levels(args *configv1alpha1.LockstepArgs) []topology.Level {
	out := make([]topology.Level, len(args.TopologyLevels))
	for i, level := range args.TopologyLevels {
		out[i] = topology.Level{Name: level.Name, Key: level.Key}
	}
	return out
}
