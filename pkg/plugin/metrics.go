package plugin

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics/legacyregistry"

	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
)

var (
	planSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "lockstep_plan_duration_seconds", Help: "Time to plan for a gang, by outcome (placed, refused).",
		Buckets: prometheus.ExponentialBuckets(50e-6, 2, 16),
	}, []string{"outcome"})
	bindSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "lockstep_bind_duration_seconds", Help: "Time to bind a member, retries included, by outcome (bound, failed).",
		Buckets: prometheus.ExponentialBuckets(1e-3, 2, 16),
	}, []string{"outcome"})
	givenBack = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lockstep_gangs_given_back_total", Help: "Gangs whose reserved members were given back before the floor was reached, by reason.",
	}, []string{"reason"})
	released = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lockstep_members_released_total", Help: "Members released to be bound.",
	})
	evicted = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lockstep_members_evicted_total", Help: "Bound members and other pods that were evicted, by reason.",
	}, []string{"reason"})
	waited = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "lockstep_gang_wait_seconds", Help: "Time that gangs waited until their floor had its place, by queue (empty: in none).",
		Buckets: prometheus.ExponentialBuckets(1, 3, 13),
	}, []string{"queue"})
	registerOnce sync.Once
)

// registerMetrics adds the plugin's metrics to those of the scheduler.
func registerMetrics(e *engine) {
	registerOnce.Do(func() {
		legacyregistry.RawMustRegister(collectors(e)...)
	})
}

func collectors(e *engine) []prometheus.Collector {
	return []prometheus.Collector{planSeconds, bindSeconds, givenBack, released, evicted, waited, &gangCollector{e}}
}

func observePlan(took time.Duration, effects []core.Effect) {
	outcome := "placed"
	for _, effect := range effects {
		if _, refused := effect.(core.Refuse); refused {
			outcome = "refused"
		}
	}
	planSeconds.WithLabelValues(outcome).Observe(took.Seconds())
}

func observeBind(took time.Duration, err error) {
	outcome := "bound"
	if err != nil {
		outcome = "failed"
	}
	bindSeconds.WithLabelValues(outcome).Observe(took.Seconds())
}

// observeWait takes in how long a gang has waited when that has just ended.
func observeWait(g *group, queue string, status core.Status, now time.Time) {
	before := meta.FindStatusCondition(g.status.Conditions, kube.ScheduledCondition)
	if status.Phase == gang.Placed && (before == nil || before.Status != metav1.ConditionTrue) {
		waited.WithLabelValues(queue).Observe(max(0, now.Sub(g.waitsSince()).Seconds()))
	}
}
