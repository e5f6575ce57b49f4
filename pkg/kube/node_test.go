package kube

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/cluster"
)

func TestAdmission(t *testing.T) {
	node := func(change func(*v1.Node)) *v1.Node {
		n := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"gpu": "a100"}}}
		if change != nil {
			change(n)
		}
		return n
	}
	taint := func(effect v1.TaintEffect) func(*v1.Node) {
		return func(n *v1.Node) { n.Spec.Taints = []v1.Taint{{Key: "team", Value: "b", Effect: effect}} }
	}
	tolerate := func(p *v1.Pod) {
		p.Spec.Tolerations = []v1.Toleration{{Key: "team", Operator: v1.TolerationOpEqual, Value: "b"}}
	}
	wants := func(values ...string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{
				NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchExpressions: []v1.NodeSelectorRequirement{
					{Key: "gpu", Operator: v1.NodeSelectorOpIn, Values: values},
				}}},
			}}}
		}
	}
	tests := []struct {
		name string
		pod  func(*v1.Pod)
		node func(*v1.Node)
		want bool
	}{
		{"plain", nil, nil, true},
		{"selector that matches", func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"gpu": "a100"} }, nil, true},
		{"selector that does not", func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"gpu": "h100"} }, nil, false},
		{"affinity that matches", wants("h100", "a100"), nil, true},
		{"affinity that does not", wants("h100"), nil, false},
		{"NoSchedule", nil, taint(v1.TaintEffectNoSchedule), false},
		{"NoSchedule, tolerated", tolerate, taint(v1.TaintEffectNoSchedule), true},
		{"NoExecute", nil, taint(v1.TaintEffectNoExecute), false},
		{"PreferNoSchedule only discourages", nil, taint(v1.TaintEffectPreferNoSchedule), true},
		{"cordoned", nil, func(n *v1.Node) { n.Spec.Unschedulable = true }, false},
		{"cordoned, tolerated", func(p *v1.Pod) {
			p.Spec.Tolerations = []v1.Toleration{{Key: v1.TaintNodeUnschedulable, Operator: v1.TolerationOpExists, Effect: v1.TaintEffectNoSchedule}}
		}, func(n *v1.Node) { n.Spec.Unschedulable = true }, true},
	}
	for _, tt := range tests {
		if got := NewAdmission(pod(tt.pod)).Admits(node(tt.node)); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestNode(t *testing.T) {
	vocabulary := cluster.NewVocabulary()
	n := Node(&v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n"},
		Spec:       v1.NodeSpec{Taints: []v1.Taint{{Key: "fake", Effect: v1.TaintEffectPreferNoSchedule}}},
		Status: v1.NodeStatus{Allocatable: v1.ResourceList{
			v1.ResourceCPU: resource.MustParse("1500m"), "nvidia.com/gpu": resource.MustParse("8"), v1.ResourcePods: resource.MustParse("110"),
		}},
	}, vocabulary)
	if !n.Discouraged {
		t.Error("a PreferNoSchedule taint does not discourage")
	}
	gpu := vocabulary.Index("nvidia.com/gpu")
	if n.Allocatable.Get(cluster.CPU) != 1500 || n.Free.Get(gpu) != 8 || n.Allocatable.Get(cluster.Pods) != 110 {
		t.Errorf("allocatable %v, free %v", n.Allocatable, n.Free)
	}
	n.Free.Sub(cluster.Resources{cluster.CPU: 100})
	if n.Allocatable.Get(cluster.CPU) != 1500 {
		t.Error("what is free and what is allocatable share memory")
	}
}
