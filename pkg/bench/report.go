package bench

import (
	"cmp"
	"fmt"
	"slices"

	"lockstep.dev/lockstep/pkg/sim"
)

// Report is the outcome of one scenario.
type Report struct {
	Scenario string `json:"scenario"`
	// Title says in a line what was measured.
	Title     string         `json:"title"`
	Settings  map[string]int `json:"settings"`
	Runs      []Run          `json:"runs"`
	Summaries []Summary      `json:"summaries"`
	// Notes say what was left out, and why.
	Notes []string `json:"notes,omitempty"`
}

// Run is one measurement.
type Run struct {
	// Case is what differs within a scenario, such as "64x16"; may be empty.
	Case      string `json:"case"`
	Scheduler string `json:"scheduler"`
	// Metric ends in its unit, such as "throughput_pods_per_second".
	Metric string  `json:"metric"`
	Repeat int     `json:"repeat"`
	Value  float64 `json:"value"`
}

// Summary is a scheduler's median over the repeats of a case, with the spread,
// and Lockstep's median over it.
type Summary struct {
	Case      string  `json:"case"`
	Scheduler string  `json:"scheduler"`
	Metric    string  `json:"metric"`
	Median    float64 `json:"median"`
	Low       float64 `json:"low"`
	High      float64 `json:"high"`
	// LockstepOver is Lockstep's median divided by this one; 0 where one of them is 0.
	LockstepOver float64 `json:"lockstep_over"`
}

// note adds a note once.
func (r *Report) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.Notes, text) {
		r.Notes = append(r.Notes, text)
	}
}

// summarise fills in the summaries from the runs: cases, in them metrics, and
// in them schedulers, in the order of their first appearance, Lockstep first.
func (r *Report) summarise() {
	type key struct{ name, metric, scheduler string }
	values := map[key][]float64{}
	cases, metrics, schedulers := map[string]int{}, map[string]int{}, map[string]int{Lockstep: 0}
	var keys []key
	for _, run := range r.Runs {
		k := key{run.Case, run.Metric, run.Scheduler}
		if values[k] == nil {
			keys = append(keys, k)
		}
		values[k] = append(values[k], run.Value)
		rank(cases, run.Case)
		rank(metrics, run.Metric)
		rank(schedulers, run.Scheduler)
	}
	slices.SortStableFunc(keys, func(a, b key) int {
		return cmp.Or(cases[a.name]-cases[b.name], metrics[a.metric]-metrics[b.metric], schedulers[a.scheduler]-schedulers[b.scheduler])
	})
	r.Summaries = nil
	for _, k := range keys {
		list := slices.Sorted(slices.Values(values[k]))
		s := Summary{
			Case: k.name, Scheduler: k.scheduler, Metric: k.metric,
			Median: median(list), Low: list[0], High: list[len(list)-1],
		}
		if own := slices.Sorted(slices.Values(values[key{k.name, k.metric, Lockstep}])); s.Median != 0 {
			s.LockstepOver = median(own) / s.Median
		}
		r.Summaries = append(r.Summaries, s)
	}
}

// rank gives a name a number on first sight.
func rank(ranks map[string]int, name string) {
	if _, seen := ranks[name]; !seen {
		ranks[name] = len(ranks)
	}
}

// median of a sorted list; the mean of the middle two where there are two.
func median(sorted []float64) float64 {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// percentile of a sorted list, by the rank that simulations use as well.
func percentile(sorted []float64, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[sim.NearestRank(len(sorted), percent)]
}
