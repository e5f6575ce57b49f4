package plugin

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestShrunkNode(t *testing.T) {
	has := func(gpus, memory string) v1.ResourceList {
		return v1.ResourceList{"nvidia.com/gpu": resource.MustParse(gpus), v1.ResourceMemory: resource.MustParse(memory)}
	}
	for _, tt := range []struct {
		name string
		now  v1.ResourceList
		want bool
	}{
		{"the same", has("8", "1Gi"), false},
		{"more", has("8", "2Gi"), false},
		{"fewer GPUs", has("7", "2Gi"), true},
		{"no GPUs", v1.ResourceList{v1.ResourceMemory: resource.MustParse("1Gi")}, true},
	} {
		if got := shrunk(has("8", "1Gi"), tt.now); got != tt.want {
			t.Errorf("%s: shrunk is %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestRelaxedBudget(t *testing.T) {
	budget := func(app string, allowed int32) *policyv1.PodDisruptionBudget {
		return &policyv1.PodDisruptionBudget{
			Spec:   policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}},
			Status: policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed},
		}
	}
	for _, tt := range []struct {
		name string
		now  *policyv1.PodDisruptionBudget
		want bool
	}{
		{"the same", budget("a", 1), false},
		{"less", budget("a", 0), false},
		{"more", budget("a", 2), true},
		{"other pods", budget("b", 1), true},
	} {
		if got := relaxed(budget("a", 1), tt.now); got != tt.want {
			t.Errorf("%s: relaxed is %v, want %v", tt.name, got, tt.want)
		}
	}
}
