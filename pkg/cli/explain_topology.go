package cli

import (
	"fmt"
	"strings"

	"lockstep.dev/lockstep/pkg/kube"
)

// topologyWish is the closeness that a gang asks for.
type topologyWish struct {
	Required  string `json:"required,omitempty"`
	Preferred string `json:"preferred,omitempty"`
	// PreferredMet says whether the members that have a node share one domain of the
	// preferred level; absent while none has one, or where there is no such level.
	PreferredMet *bool  `json:"preferred_met,omitempty"`
	SliceSize    int    `json:"slice_size,omitempty"`
	SliceLevel   string `json:"slice_level,omitempty"`
}

// newTopologyWish reads what a gang asks for; nil where that is nothing.
func newTopologyWish(o *kube.Offline, s kube.Standing) *topologyWish {
	if s.Group == nil {
		return nil
	}
	spec := kube.Spec(s.Group)
	wish := topologyWish{Required: spec.Required.Name, Preferred: spec.Preferred.Name}
	if spec.Slices.Size > 1 {
		wish.SliceSize, wish.SliceLevel = spec.Slices.Size, spec.Slices.Level.Name
	}
	if wish == (topologyWish{}) {
		return nil
	}
	if level, known := o.Tree().LevelOf(wish.Preferred); known && s.Domain >= 0 {
		met := s.Used[level] == 1
		wish.PreferredMet = &met
	}
	return &wish
}

func (w *topologyWish) String() string {
	var parts []string
	if w.Required != "" {
		parts = append(parts, "one "+w.Required+", or nothing")
	}
	if w.SliceSize > 0 {
		parts = append(parts, fmt.Sprintf("slices of %d pods, each in one %s", w.SliceSize, w.SliceLevel))
	}
	if w.Preferred != "" {
		text := "if it can be, one " + w.Preferred
		switch {
		case w.PreferredMet == nil:
		case *w.PreferredMet:
			text += " (it is)"
		default:
			text += " (it is not)"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}
