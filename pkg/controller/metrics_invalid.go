package controller

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// invalidObjects counts the jobs that were accepted and cannot be run as they are, by the
// reason of the condition that says so. It is derived from the jobs whenever it is asked for.
type invalidObjects struct{ jobs client.Reader }

var invalidObjectsDesc = prometheus.NewDesc("lockstep_invalid_objects",
	"Jobs that were accepted and cannot be run as they are.", []string{"reason"}, nil)

// register adds the metric; of several controllers in one process the first has it.
func (i invalidObjects) register() error {
	err := metrics.Registry.Register(i)
	if already := (prometheus.AlreadyRegisteredError{}); errors.As(err, &already) {
		return nil
	}
	return err
}

// Describe implements prometheus.Collector.
func (i invalidObjects) Describe(to chan<- *prometheus.Desc) { to <- invalidObjectsDesc }

// Collect implements prometheus.Collector. It reads a cache; while that is being filled there
// is nothing to tell.
func (i invalidObjects) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	list := &v1.PyTorchJobList{}
	if err := i.jobs.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return
	}
	reasons := map[string]int{}
	for k := range list.Items {
		for _, c := range list.Items[k].Status.Conditions {
			trouble := c.Type == v1.JobInvalid || c.Type == v1.JobCreateFailed || c.Type == conditionQueueNotFound
			if trouble && c.Status == corev1.ConditionTrue {
				reasons[c.Reason]++
			}
		}
	}
	for reason, n := range reasons {
		to <- prometheus.MustNewConstMetric(invalidObjectsDesc, prometheus.GaugeValue, float64(n), reason)
	}
}
