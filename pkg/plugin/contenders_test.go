package plugin

import (
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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
