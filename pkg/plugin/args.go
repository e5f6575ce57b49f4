package plugin

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"

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

// checkProfile says where the plugins of a profile would not keep gangs whole.
func checkProfile(handle fwk.Handle) error {
	profile, ok := handle.(framework.Framework)
	if !ok {
		return nil // a test's
	}
	plugins, at := profile.ListPlugins(), map[string][]string{}
	for point, set := range map[string]config.PluginSet{
		"preEnqueue": plugins.PreEnqueue, "queueSort": plugins.QueueSort, "preFilter": plugins.PreFilter, "filter": plugins.Filter,
		"postFilter": plugins.PostFilter, "reserve": plugins.Reserve, "permit": plugins.Permit, "bind": plugins.Bind,
	} {
		for _, plugin := range set.Enabled {
			at[point] = append(at[point], plugin.Name)
		}
	}
	if errs := configv1alpha1.ValidateProfile(at); len(errs) > 0 {
		return fmt.Errorf("profile %s: %w", handle.ProfileName(), errs.ToAggregate())
	}
	return nil
}
