package plugin

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/component-base/metrics/legacyregistry"

	"lockstep.dev/lockstep/pkg/core"
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
	evicted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lockstep_members_evicted_total", Help: "Bound members evicted because their gang could not be completed.",
	})
	registerOnce sync.Once
)

// registerMetrics adds the plugin's metrics to those of the scheduler.
func registerMetrics(e *engine) {
	registerOnce.Do(func() {
		legacyregistry.RawMustRegister(planSeconds, bindSeconds, givenBack, released, evicted, &gangCollector{e})
	})
}

// gangCollector counts gangs by phase when it is asked.
type gangCollector struct{ engine *engine }

var gangsDesc = prometheus.NewDesc("lockstep_gangs", "Gangs by phase.", []string{"phase"}, nil)

// Describe implements prometheus.Collector.
func (c *gangCollector) Describe(out chan<- *prometheus.Desc) { out <- gangsDesc }

// Collect implements prometheus.Collector.
func (c *gangCollector) Collect(out chan<- prometheus.Metric) {
	c.engine.mu.Lock()
	phases := c.engine.core.Phases()
	c.engine.mu.Unlock()
	for phase, n := range phases {
		out <- prometheus.MustNewConstMetric(gangsDesc, prometheus.GaugeValue, float64(n), string(phase))
	}
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
