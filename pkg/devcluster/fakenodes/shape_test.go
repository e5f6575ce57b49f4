package fakenodes

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestNodesAreGrouped(t *testing.T) {
	domains := func(s Shape, index int) [4]string {
		l := s.Node(index).Labels
		return [4]string{l[corev1.LabelTopologyZone], l[BlockLabel], l[RackLabel], l[corev1.LabelHostname]}
	}
	small := Shape{RackSize: 2, RacksPerBlock: 3, BlocksPerZone: 2}
	for _, test := range []struct {
		name  string
		shape Shape
		index int
		want  [4]string
	}{
		{"first", DefaultShape(), 0, [4]string{"zone-0", "block-0", "rack-0", "node-0000"}},
		{"second rack", DefaultShape(), 4, [4]string{"zone-0", "block-0", "rack-1", "node-0004"}},
		{"second block", DefaultShape(), 16, [4]string{"zone-0", "block-1", "rack-4", "node-0016"}},
		{"one zone unless said otherwise", DefaultShape(), 12345, [4]string{"zone-0", "block-771", "rack-3086", "node-12345"}},
		{"last of a zone", small, 11, [4]string{"zone-0", "block-1", "rack-5", "node-0011"}},
		{"first of the next", small, 12, [4]string{"zone-1", "block-2", "rack-6", "node-0012"}},
	} {
		if diff := cmp.Diff(test.want, domains(test.shape, test.index)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestNodeHasTheShapesResources(t *testing.T) {
	for _, test := range []struct {
		name  string
		shape Shape
		want  map[corev1.ResourceName]string
	}{
		{"defaults", Shape{}, map[corev1.ResourceName]string{GPUResource: "8", "cpu": "128", "memory": "1Ti", "pods": "110"}},
		{"no GPU", Shape{GPUs: -1}, map[corev1.ResourceName]string{GPUResource: "0", "cpu": "128"}},
		{"own", Shape{GPUs: 4, CPU: resource.MustParse("1500m"), Memory: resource.MustParse("3Gi"), Pods: 7},
			map[corev1.ResourceName]string{GPUResource: "4", "cpu": "1500m", "memory": "3Gi", "pods": "7"}},
	} {
		node := test.shape.Node(3)
		for name, want := range test.want {
			got := node.Status.Allocatable[name]
			if got.Cmp(resource.MustParse(want)) != 0 {
				t.Errorf("%s: allocatable %s is %s, want %s", test.name, name, got.String(), want)
			}
		}
		if diff := cmp.Diff(node.Status.Capacity, node.Status.Allocatable); diff != "" {
			t.Errorf("%s: capacity and allocatable differ:\n%s", test.name, diff)
		}
	}
}

func TestRealNodesArePreferredOnlyWhereAsked(t *testing.T) {
	if taints := (Shape{}).Node(0).Spec.Taints; len(taints) > 0 {
		t.Errorf("a fake node has taints %v without PreferReal", taints)
	}
	taints := Shape{PreferReal: true}.Node(0).Spec.Taints
	if len(taints) != 1 || taints[0].Effect != corev1.TaintEffectPreferNoSchedule {
		t.Errorf("with PreferReal a fake node has taints %v, want one PreferNoSchedule", taints)
	}
}

func TestImpossibleShapesAreRefused(t *testing.T) {
	for want, shape := range map[string]Shape{
		"rack size":       {RackSize: -1},
		"racks per block": {RacksPerBlock: -2},
		"blocks per zone": {BlocksPerZone: -1},
		"pods":            {Pods: -1},
		"cpu":             {CPU: resource.MustParse("-1")},
		"memory":          {Memory: resource.MustParse("-1Gi")},
	} {
		if err := shape.WithDefaults().Validate(); err == nil || !strings.Contains(err.Error(), want+":") {
			t.Errorf("shape with a wrong %s: error %v does not name it", want, err)
		}
	}
	if err := (Shape{GPUs: -1}).WithDefaults().Validate(); err != nil {
		t.Errorf("a shape without GPUs was refused: %v", err)
	}
}

func TestNodeAddressesDiffer(t *testing.T) {
	seen := map[string]int{}
	for i := range 70000 {
		address := nodeAddress(i)
		if other, ok := seen[address]; ok {
			t.Fatalf("nodes %d and %d both have %s", other, i, address)
		}
		seen[address] = i
	}
}
