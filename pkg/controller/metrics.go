package controller

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// counters exist under our name and under the one of Kubeflow's operator, which
// dashboards know.
type counters [2]*prometheus.CounterVec

const framework = "pytorch"

func newCounters(event, help string) counters {
	var c counters
	for i, prefix := range []string{"lockstep", "training_operator"} {
		c[i] = prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "_jobs_" + event + "_total", Help: help,
		}, []string{"job_namespace", "framework"})
		metrics.Registry.MustRegister(c[i])
	}
	return c
}

func (c counters) inc(namespace string) {
	for _, counter := range c {
		counter.WithLabelValues(namespace, framework).Inc()
	}
}

var (
	jobsCreated    = newCounters("created", "Jobs that were accepted.")
	jobsDeleted    = newCounters("deleted", "Jobs that were deleted.")
	jobsSuccessful = newCounters("successful", "Jobs that succeeded.")
	jobsFailed     = newCounters("failed", "Jobs that failed.")
	jobsRestarted  = newCounters("restarted", "Times that a job began to replace pods.")
)

// countTransitions counts the states that a status write brings. It follows the
// write, so a restart of the controller counts nothing again.
func countTransitions(job *v1.PyTorchJob, next *v1.JobStatus) {
	for t, counter := range map[v1.JobConditionType]counters{
		v1.JobCreated: jobsCreated, v1.JobSucceeded: jobsSuccessful, v1.JobFailed: jobsFailed, v1.JobRestarting: jobsRestarted,
	} {
		if !isTrue(&job.Status, t) && isTrue(next, t) {
			counter.inc(job.Namespace)
		}
	}
}
