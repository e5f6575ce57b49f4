package controller

import (
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// listed is a cache of jobs.
type listed struct {
	client.Reader
	jobs []v1.PyTorchJob
}

func (l listed) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	jobs, ok := list.(*v1.PyTorchJobList)
	if !ok {
		return fmt.Errorf("a list of %T", list)
	}
	jobs.Items = l.jobs
	return nil
}

// TestInvalidObjects: a job counts while its trouble lasts, by the trouble's reason.
func TestInvalidObjects(t *testing.T) {
	with := func(t v1.JobConditionType, reason string, status corev1.ConditionStatus) v1.PyTorchJob {
		return v1.PyTorchJob{Status: v1.JobStatus{Conditions: []v1.JobCondition{
			{Type: t, Reason: reason, Status: status}, {Type: v1.JobCreated, Reason: reasonCreated, Status: corev1.ConditionTrue}}}}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(invalidObjects{listed{jobs: []v1.PyTorchJob{
		with(v1.JobCreateFailed, "PriorityClassNotFound", corev1.ConditionTrue),
		with(v1.JobCreateFailed, "PriorityClassNotFound", corev1.ConditionTrue),
		with(conditionQueueNotFound, "QueueNotFound", corev1.ConditionTrue),
		with(v1.JobInvalid, reasonInvalid, corev1.ConditionFalse),
	}}})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		got[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
	}
	if len(got) != 2 || got["PriorityClassNotFound"] != 2 || got["QueueNotFound"] != 1 {
		t.Errorf("%s: %v", families[0].GetName(), got)
	}
}
