package bench

import (
	"slices"
	"sort"
)

// Report is the outcome of one scenario.
type Report struct {
	Scenario  string         `json:"scenario"`
	Settings  map[string]int `json:"settings"`
	Runs      []Run          `json:"runs"`
	Summaries []Summary      `json:"summaries"`
}

// Run is one measurement.
type Run struct {
	Scheduler string `json:"scheduler"`
	// Metric ends in its unit, such as "throughput_pods_per_second".
	Metric string  `json:"metric"`
	Repeat int     `json:"repeat"`
	Value  float64 `json:"value"`
}

// Summary is a scheduler's median over the repeats, with the spread, and
// Lockstep's median over it.
type Summary struct {
	Scheduler string  `json:"scheduler"`
	Metric    string  `json:"metric"`
	Median    float64 `json:"median"`
	Low       float64 `json:"low"`
	High      float64 `json:"high"`
	// LockstepOver is Lockstep's median divided by this one.
	LockstepOver float64 `json:"lockstep_over"`
}

// summarise fills in the summaries from the runs: metrics in the order of their
// first appearance, Lockstep first.
func (r *Report) summarise() {
	type key struct{ metric, scheduler string }
	values := map[key][]float64{}
	var keys []key
	for _, run := range r.Runs {
		k := key{run.Metric, run.Scheduler}
		if values[k] == nil {
			keys = append(keys, k)
		}
		values[k] = append(values[k], run.Value)
	}
	order := map[string]int{}
	for i, k := range keys {
		if _, seen := order[k.metric]; !seen {
			order[k.metric] = i
		}
	}
	sort.SliceStable(keys, func(i, j int) bool { return order[keys[i].metric] < order[keys[j].metric] })
	r.Summaries = nil
	for _, k := range keys {
		list := slices.Clone(values[k])
		sort.Float64s(list)
		own := slices.Clone(values[key{k.metric, Lockstep}])
		sort.Float64s(own)
		s := Summary{Scheduler: k.scheduler, Metric: k.metric, Median: median(list), Low: list[0], High: list[len(list)-1]}
		if len(own) > 0 && s.Median != 0 {
			s.LockstepOver = median(own) / s.Median
		}
		r.Summaries = append(r.Summaries, s)
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

// quantile of a sorted list, nearest rank.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
