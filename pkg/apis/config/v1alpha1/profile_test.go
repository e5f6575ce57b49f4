package v1alpha1

import (
	"strings"
	"testing"
)

// A profile without the plugin at one of its points is refused there, and at that one only.
func TestAProfileNeedsThePluginEverywhere(t *testing.T) {
	for _, lacks := range append(Points(), "") {
		at := map[string][]string{}
		for _, point := range Points() {
			if point != lacks {
				at[point] = []string{PluginName}
			}
		}
		errs := ValidateProfile(at)
		if lacks == "" && len(errs) > 0 || lacks != "" && (len(errs) != 1 || errs[0].Field != "plugins."+lacks || !strings.Contains(errs[0].Detail, "missing")) {
			t.Errorf("without it at %q: %v", lacks, errs)
		}
	}
}
