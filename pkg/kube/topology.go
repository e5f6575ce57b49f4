package kube

import (
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"lockstep.dev/lockstep/pkg/gang"
)

// The annotations that ask for closeness. Kueue's are understood as well; ours win.
const (
	RequiredTopology  = "lockstep.dev/topology-required"
	PreferredTopology = "lockstep.dev/topology-preferred"
	// SliceTopology and SliceSize cut a gang into groups of so many consecutive ranks
	// that each need one domain of the level.
	SliceTopology = "lockstep.dev/topology-slice-required"
	SliceSize     = "lockstep.dev/topology-slice-size"
)

var (
	requiredKeys      = []string{RequiredTopology, "kueue.x-k8s.io/podset-required-topology"}
	preferredKeys     = []string{PreferredTopology, "kueue.x-k8s.io/podset-preferred-topology"}
	sliceTopologyKeys = []string{SliceTopology, "kueue.x-k8s.io/podset-slice-required-topology"}
	sliceSizeKeys     = []string{SliceSize, "kueue.x-k8s.io/podset-slice-size"}
)

// Spec translates a PodGroup. What of it cannot be understood stands in Invalid.
func Spec(pg *v1alpha1.PodGroup) gang.Spec {
	spec := gang.Spec{
		Key: gang.Key{Namespace: pg.Namespace, Name: pg.Name}, UID: string(pg.UID),
		Floor: max(1, int(pg.Spec.MinMember)), Created: pg.CreationTimestamp.Time,
	}
	w := wishes{annotations: pg.Annotations}
	spec.Required, spec.Preferred = w.level(requiredKeys), w.level(preferredKeys)
	spec.Slices = w.slices()
	spec.Duration, spec.Revocable = w.duration(), w.revocable()
	if len(w.errs) > 0 {
		spec.Invalid = w.errs.ToAggregate().Error()
	}
	return spec
}

// wishes reads a PodGroup's annotations and collects what is wrong with them.
type wishes struct {
	annotations map[string]string
	errs        field.ErrorList
}

// find returns the value of the first key that is there, and where it stands.
func (w *wishes) find(keys []string) (value string, at *field.Path) {
	for _, key := range keys {
		if value, ok := w.annotations[key]; ok {
			return value, field.NewPath("metadata", "annotations").Key(key)
		}
	}
	return "", nil
}

func (w *wishes) level(keys []string) gang.Level {
	name, at := w.find(keys)
	switch {
	case at == nil:
		return gang.Level{}
	case name == "":
		w.errs = append(w.errs, field.Required(at, "name a level such as rack, or remove the annotation"))
	}
	return gang.Level{Name: name, Field: at.String()}
}

func (w *wishes) slices() gang.Slices {
	level := w.level(sliceTopologyKeys)
	text, at := w.find(sliceSizeKeys)
	here := field.NewPath("metadata", "annotations")
	switch {
	case at == nil && level.Field == "":
		return gang.Slices{}
	case at == nil:
		w.errs = append(w.errs, field.Required(here.Key(SliceSize), "slices need a size as well as the level "+level.Name))
		return gang.Slices{}
	case level.Field == "":
		w.errs = append(w.errs, field.Required(here.Key(SliceTopology), "slices need a level as well as the size "+text))
	}
	size, err := strconv.ParseInt(text, 10, 32)
	if err != nil || size < 1 {
		w.errs = append(w.errs, field.Invalid(at, text, "must be a whole number from 1, the number of pods in a slice"))
	}
	return gang.Slices{Size: int(size), Level: level, Field: at.String()}
}
