package kube

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"lockstep.dev/lockstep/pkg/gang"
)

func TestTopologyAnnotations(t *testing.T) {
	at := func(key string) string { return "metadata.annotations[" + key + "]" }
	const kueueLevel, kueueSize = "kueue.x-k8s.io/podset-slice-required-topology", "kueue.x-k8s.io/podset-slice-size"
	tests := []struct {
		name        string
		annotations map[string]string
		want        gang.Slices
		invalid     string
	}{
		{name: "none"},
		{
			name:        "ours",
			annotations: map[string]string{SliceSize: "8", SliceTopology: "rack"},
			want:        gang.Slices{Size: 8, Level: gang.Level{Name: "rack", Field: at(SliceTopology)}, Field: at(SliceSize)},
		},
		{
			name:        "Kueue's, with a node label for the level",
			annotations: map[string]string{kueueSize: "4", kueueLevel: "cloud.provider.com/topology-rack"},
			want: gang.Slices{
				Size: 4, Level: gang.Level{Name: "cloud.provider.com/topology-rack", Field: at(kueueLevel)}, Field: at(kueueSize),
			},
		},
		{
			name:        "ours win",
			annotations: map[string]string{kueueSize: "4", kueueLevel: "block", SliceSize: "8", SliceTopology: "rack"},
			want:        gang.Slices{Size: 8, Level: gang.Level{Name: "rack", Field: at(SliceTopology)}, Field: at(SliceSize)},
		},
		{
			name:        "a size of zero",
			annotations: map[string]string{SliceSize: "0", SliceTopology: "rack"},
			invalid:     at(SliceSize) + `: Invalid value: "0": must be a whole number from 1, the number of pods in a slice`,
		},
		{
			name:        "a negative size, under Kueue's key",
			annotations: map[string]string{kueueSize: "-8", kueueLevel: "rack"},
			invalid:     at(kueueSize) + `: Invalid value: "-8": must be a whole number from 1, the number of pods in a slice`,
		},
		{
			name:        "a size that is no number, or too large for one",
			annotations: map[string]string{SliceSize: "99999999999", SliceTopology: "rack"},
			invalid:     at(SliceSize) + `: Invalid value: "99999999999": must be a whole number from 1, the number of pods in a slice`,
		},
		{
			name:        "a level and no size",
			annotations: map[string]string{SliceTopology: "rack"},
			invalid:     at(SliceSize) + ": Required value: slices need a size as well as the level rack",
		},
		{
			name:        "a size and no level",
			annotations: map[string]string{SliceSize: "8"},
			invalid:     at(SliceTopology) + ": Required value: slices need a level as well as the size 8",
		},
		{
			name:        "an empty level",
			annotations: map[string]string{RequiredTopology: ""},
			invalid:     at(RequiredTopology) + ": Required value: name a level such as rack, or remove the annotation",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec := Spec(&v1alpha1.PodGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "job", Annotations: tt.annotations}})
			if spec.Invalid != tt.invalid {
				t.Errorf("invalid because of %q, want %q", spec.Invalid, tt.invalid)
			}
			if tt.invalid == "" && spec.Slices != tt.want {
				t.Errorf("%+v, want %+v", spec.Slices, tt.want)
			}
		})
	}
}
