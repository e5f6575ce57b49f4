package v1alpha1

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The names of plugins in the scheduler's configuration.
const (
	PluginName = "Lockstep"
	// PreemptionName is the plugin that stands in for DefaultPreemption.
	PreemptionName = "LockstepPodPreemption"
	// DefaultPreemptionName is the scheduler's own.
	DefaultPreemptionName = "DefaultPreemption"
)

// Points are the extension points at which a profile needs the plugin. The others are
// those of scores, which only say what is better.
func Points() []string {
	return []string{"preEnqueue", "queueSort", "preFilter", "filter", "postFilter", "reserve", "permit", "bind"}
}

// ValidateProfile says where the plugins of a profile would not keep gangs whole. at
// has their names by extension point, in the order in which they are asked.
func ValidateProfile(at map[string][]string) field.ErrorList {
	var errs field.ErrorList
	if !slices.ContainsFunc(Points(), func(point string) bool { return slices.Contains(at[point], PluginName) }) {
		return field.ErrorList{field.Forbidden(field.NewPath("plugins"), PluginName+" is not enabled: do so in multiPoint, as manifests/scheduler/config.yaml does")}
	}
	for _, point := range Points() {
		names, message := at[point], ""
		switch i := slices.Index(names, PluginName); {
		case i < 0:
			message = PluginName + " is missing, without which gangs are not kept whole: enable it in multiPoint, and do not disable it here"
		case point == "queueSort" && len(names) > 1:
			message = "there can be one only, " + PluginName + ": disable the others here"
		case (point == "postFilter" || point == "bind") && i > 0: // who comes before may leave nothing to it
			message = fmt.Sprintf("%s must be first, before %s: name it first here, and in multiPoint as well", PluginName, strings.Join(names[:i], ", "))
		case point == "postFilter" && slices.Contains(names, DefaultPreemptionName):
			message = fmt.Sprintf("%s evicts single members of gangs: disable it in multiPoint; %s stands in for it", DefaultPreemptionName, PreemptionName)
		}
		if message != "" {
			errs = append(errs, field.Forbidden(field.NewPath("plugins", point), message))
		}
	}
	return errs
}
