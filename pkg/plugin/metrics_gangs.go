package plugin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/labels"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/kube"
)

// gangCollector tells how things stand when it is asked, from the core's state.
type gangCollector struct{ engine *engine }

var (
	gangsDesc = prometheus.NewDesc("lockstep_gangs", "Gangs by phase.", []string{"phase"}, nil)
	waitDesc  = prometheus.NewDesc("lockstep_gangs_waiting", "Gangs whose floor has no place, by queue (empty: in none) and reason.",
		[]string{"queue", "reason"}, nil)
	longestDesc = prometheus.NewDesc("lockstep_longest_wait_seconds", "How long the gang has waited that is complete and has waited longest, by queue (empty: in none).",
		[]string{"queue"}, nil)
	reservedDesc = prometheus.NewDesc("lockstep_reservations", "Gangs for which room is kept, by kind.", []string{"kind"}, nil)
	heldDesc     = prometheus.NewDesc("lockstep_queue_held", "What a queue holds, with those below it, by resource (cores, bytes, devices).",
		[]string{"queue", "resource"}, nil)
	guaranteedDesc = prometheus.NewDesc("lockstep_queue_guaranteed", "What a queue is guaranteed, by resource (cores, bytes, devices).",
		[]string{"queue", "resource"}, nil)
	capDesc = prometheus.NewDesc("lockstep_queue_cap", "The most that a queue may hold, by resource (cores, bytes, devices).",
		[]string{"queue", "resource"}, nil)
	mismatchDesc = prometheus.NewDesc("lockstep_nodes_gpu_mismatch",
		"Nodes whose label nvidia.com/gpu.count differs from the GPUs that they can give; what they can give counts.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *gangCollector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{gangsDesc, waitDesc, longestDesc, reservedDesc, heldDesc, guaranteedDesc, capDesc, mismatchDesc} {
		out <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *gangCollector) Collect(out chan<- prometheus.Metric) {
	e := c.engine
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	e.mu.Lock()
	census, leads := e.core.Census()
	names := make([]string, e.vocabulary.Len())
	for r := range names {
		names[r] = e.vocabulary.Name(r)
	}
	e.mu.Unlock()
	if !leads {
		return // or sums over replicas would count all twice
	}
	for phase, n := range census.Phases {
		gauge(gangsDesc, float64(n), string(phase))
	}
	c.waiting(census.Waiting, gauge)
	for _, kind := range []core.ReservationKind{core.Preempting, core.Draining, core.Replacing} {
		gauge(reservedDesc, float64(census.Reserved[kind]), string(kind))
	}
	for _, share := range census.Queues {
		for r, name := range names {
			held, guaranteed := share.Held.Get(r), share.Guaranteed.Get(r)
			limit, capped := share.Cap[r]
			if held != 0 || guaranteed != 0 || capped {
				gauge(heldDesc, units(r, held), share.Queue, name)
				gauge(guaranteedDesc, units(r, guaranteed), share.Queue, name)
			}
			if capped {
				gauge(capDesc, units(r, limit), share.Queue, name)
			}
		}
	}
	gauge(mismatchDesc, float64(e.mismatched()))
}

// waiting tells who waits, why, and for how long: of gangs that are complete, as others wait
// for their pods and not for room.
func (c *gangCollector) waiting(list []core.Waits, gauge func(*prometheus.Desc, float64, ...string)) {
	now, count, longest := time.Now(), map[[2]string]int{}, map[string]time.Duration{}
	for _, waits := range list {
		count[[2]string{waits.Queue, waits.Reason}]++
		if g := c.engine.groups.find(waits.Key); g != nil && waits.Reason != string(core.WaitingForMembers) {
			longest[waits.Queue] = max(longest[waits.Queue], now.Sub(g.waitsSince()))
		}
	}
	for what, n := range count {
		gauge(waitDesc, float64(n), what[0], what[1])
	}
	for queue, wait := range longest {
		gauge(longestDesc, wait.Seconds(), queue)
	}
}

// units are what people count a resource in.
func units(resource int, amount int64) float64 {
	if resource == cluster.CPU {
		return float64(amount) / 1000
	}
	return float64(amount)
}

// mismatched counts the nodes whose label tells of other GPUs than they can give.
func (e *engine) mismatched() int {
	nodes, err := e.handle.SharedInformerFactory().Core().V1().Nodes().Lister().List(labels.Everything())
	if err != nil {
		return 0
	}
	n := 0
	for _, node := range nodes {
		if _, _, differ := kube.LabelledGPUs(node); differ {
			n++
		}
	}
	return n
}
