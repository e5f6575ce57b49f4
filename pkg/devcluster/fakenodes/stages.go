package fakenodes

import (
	"embed"
	"fmt"
	"io/fs"

	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/apis/v1alpha1"
	"sigs.k8s.io/kwok/pkg/utils/lifecycle"
	"sigs.k8s.io/yaml"
)

//go:embed stages/*.yaml
var stageFiles embed.FS

// podLifecycle is what pods of fake nodes go through. The value must not be
// shared between fleets: a stage compiles itself at its first use, without a lock.
func podLifecycle() (lifecycle.Lifecycle, error) {
	names, err := fs.Glob(stageFiles, "stages/*.yaml")
	if err != nil {
		return nil, err
	}
	var stages []*internalversion.Stage
	for _, name := range names {
		text, err := stageFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var stage v1alpha1.Stage
		if err := yaml.UnmarshalStrict(text, &stage); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		internal, err := internalversion.ConvertToInternalStage(&stage)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		stages = append(stages, internal)
	}
	return lifecycle.NewLifecycle(stages)
}
