package cli

import (
	"fmt"
	"slices"

	kubeschedulerv1 "k8s.io/kube-scheduler/config/v1"

	configv1alpha1 "lockstep.dev/lockstep/pkg/apis/config/v1alpha1"
)

// lintScheduler looks into the places of our plugin and into its arguments. All profiles
// share one queue, so where one has the plugin all need it.
func lintScheduler(config *kubeschedulerv1.KubeSchedulerConfiguration) []finding {
	var findings []finding
	ours := slices.ContainsFunc(config.Profiles, func(p kubeschedulerv1.KubeSchedulerProfile) bool { return ourProfile(&p) })
	for i := range config.Profiles {
		profile := &config.Profiles[i]
		if ours {
			for _, err := range configv1alpha1.ValidateProfile(pluginsOf(profile)) {
				findings = append(findings, fault(fmt.Sprintf("profiles[%d].%s", i, err.Field), err.Detail))
			}
		}
		for j, plugin := range profile.PluginConfig {
			if plugin.Name == configv1alpha1.PluginName {
				findings = append(findings, lintRaw(plugin.Args, fmt.Sprintf("profiles[%d].pluginConfig[%d].args.", i, j))...)
			}
		}
	}
	return findings
}

// ourProfile says whether the profile names our plugin at all.
func ourProfile(profile *kubeschedulerv1.KubeSchedulerProfile) bool {
	for _, plugin := range profile.PluginConfig {
		if plugin.Name == configv1alpha1.PluginName {
			return true
		}
	}
	for _, names := range pluginsOf(profile) {
		if slices.Contains(names, configv1alpha1.PluginName) {
			return true
		}
	}
	return false
}

// theirs are the scheduler's own plugins at the points where others than ours matter.
var theirs = map[string][]string{
	"queueSort":  {"PrioritySort"},
	"postFilter": {"DynamicResources", configv1alpha1.DefaultPreemptionName},
	"bind":       {"DefaultBinder"},
}

// pluginsOf are the plugins of a profile at each point, as far as they matter, in the order
// in which the scheduler would put them: those of multiPoint that are named at the point
// as well, in the point's order; the rest of multiPoint; the rest of the point.
func pluginsOf(profile *kubeschedulerv1.KubeSchedulerProfile) map[string][]string {
	plugins := profile.Plugins
	if plugins == nil {
		plugins = &kubeschedulerv1.Plugins{}
	}
	sets := map[string]kubeschedulerv1.PluginSet{
		"preEnqueue": plugins.PreEnqueue, "queueSort": plugins.QueueSort, "preFilter": plugins.PreFilter, "filter": plugins.Filter,
		"postFilter": plugins.PostFilter, "reserve": plugins.Reserve, "permit": plugins.Permit, "bind": plugins.Bind,
	}
	at := map[string][]string{}
	for point, set := range sets {
		enabled := pluginNames(set.Enabled)
		general := without(multiPoint(plugins.MultiPoint, point), pluginNames(set.Disabled))
		var named, rest []string
		for _, name := range enabled {
			if slices.Contains(general, name) {
				named = append(named, name)
			} else {
				rest = append(rest, name)
			}
		}
		at[point] = slices.Concat(named, without(general, enabled), rest)
	}
	return at
}

// multiPoint is what it brings to a point: the scheduler's own, then ours.
func multiPoint(set kubeschedulerv1.PluginSet, point string) []string {
	names, enabled := without(theirs[point], pluginNames(set.Disabled)), pluginNames(set.Enabled)
	for _, name := range enabled {
		ours := name == configv1alpha1.PluginName || point == "postFilter" && name == configv1alpha1.PreemptionName
		if (ours || slices.Contains(theirs[point], name)) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func pluginNames(list []kubeschedulerv1.Plugin) []string {
	names := make([]string, len(list))
	for i, plugin := range list {
		names[i] = plugin.Name
	}
	return names
}

// without are the names that are not disabled; * disables all.
func without(names, disabled []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.Contains(disabled, name) || slices.Contains(disabled, "*")
	})
}
