package cli

import (
	"fmt"
	"math"

	"lockstep.dev/lockstep/pkg/sim"
)

// podsResult is a comparison of policies for single pods.
type podsResult struct {
	Trace       string       `json:"trace"` // "pods"
	ArriveShare float64      `json:"arrive_share"`
	Policies    []podsPolicy `json:"policies"`
}

// podsPolicy sums up the runs of one policy.
type podsPolicy struct {
	Policy              string             `json:"policy"`
	UnallocatedPercent  spread             `json:"unallocated_percent"`
	FragmentPercentMean float64            `json:"fragment_percent_mean"`
	PodsPlacedMean      float64            `json:"pods_placed_mean"`
	PodsArrivedMean     float64            `json:"pods_arrived_mean"`
	Runs                []*sim.OpenbResult `json:"runs"`
}

// spread is a mean with the standard deviation of a sample.
type spread struct {
	Mean float64 `json:"mean"`
	SD   float64 `json:"sd"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	s := spread{Min: math.Inf(1), Max: math.Inf(-1)}
	n := float64(len(values))
	for _, v := range values {
		s.Mean += v / n
		s.Min, s.Max = min(s.Min, v), max(s.Max, v)
	}
	for _, v := range values {
		s.SD += (v - s.Mean) * (v - s.Mean)
	}
	s.SD = math.Sqrt(s.SD / max(1, n-1))
	return s
}

func (f *simulateFlags) simulatePods() (simulation, error) {
	var trace *sim.OpenbTrace
	err := withTables(func(tables []sim.Table) (err error) {
		trace, err = sim.ReadOpenb(tables[0], tables[1])
		return err
	}, f.nodes, f.jobs)
	if err != nil {
		return nil, err
	}
	runs := make([]*sim.OpenbResult, len(f.policies)*f.seeds)
	err = each(len(runs), func(i int) (err error) {
		runs[i], err = sim.Openb(trace, sim.OpenbOptions{
			Policy: f.policies[i/f.seeds], Arrive: f.arrive, Seed: f.seed + int64(i%f.seeds),
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	result := &podsResult{Trace: "pods", ArriveShare: f.arrive}
	for i, policy := range f.policies {
		result.Policies = append(result.Policies, sumUp(policy, runs[i*f.seeds:(i+1)*f.seeds]))
	}
	return result, nil
}

func sumUp(policy string, runs []*sim.OpenbResult) podsPolicy {
	p := podsPolicy{Policy: policy, Runs: runs}
	var unallocated []float64
	for _, r := range runs {
		n := float64(len(runs))
		unallocated = append(unallocated, r.UnallocatedPercent)
		p.FragmentPercentMean += r.FragmentPercent / n
		p.PodsPlacedMean += float64(r.PodsPlaced) / n
		p.PodsArrivedMean += float64(r.PodsArrived) / n
	}
	p.UnallocatedPercent = spreadOf(unallocated)
	return p
}

func (r *podsResult) tables() []reportTable {
	rows := [][]string{{"POLICY", "RUNS", "UNALLOCATED %", "SD", "LEAST", "MOST", "FRAGMENTS %", "PLACED", "ARRIVED"}}
	for _, p := range r.Policies {
		u := p.UnallocatedPercent
		rows = append(rows, []string{
			p.Policy, fmt.Sprint(len(p.Runs)), fixed(u.Mean), fixed(u.SD), fixed(u.Min), fixed(u.Max),
			fixed(p.FragmentPercentMean), fmt.Sprintf("%.0f", p.PodsPlacedMean), fmt.Sprintf("%.0f", p.PodsArrivedMean),
		})
	}
	title := fmt.Sprintf("GPUs left unallocated when %.0f %% of them have been asked for", 100*r.ArriveShare)
	return []reportTable{{title, rows}}
}

func fixed(value float64) string { return fmt.Sprintf("%.2f", value) }

func (r *podsResult) page() reportPage {
	unallocated := chart{Title: "Unallocated GPUs", X: "asked for, % of all GPUs", Y: "% of all GPUs"}
	fragments := chart{Title: "Free GPUs of no use to the pods that run", X: unallocated.X, Y: unallocated.Y}
	for _, p := range r.Policies {
		u, g := series{Name: p.Policy}, series{Name: p.Policy}
		for i := range p.Runs[0].Curve {
			at, un, fr, n := 0.0, 0.0, 0.0, 0.0
			for _, run := range p.Runs {
				if i < len(run.Curve) {
					at, un, fr, n = at+run.Curve[i].ArrivedPercent, un+run.Curve[i].UnallocatedPercent, fr+run.Curve[i].FragmentPercent, n+1
				}
			}
			u.Points = append(u.Points, point{at / n, un / n})
			g.Points = append(g.Points, point{at / n, fr / n})
		}
		unallocated.Series, fragments.Series = append(unallocated.Series, u), append(fragments.Series, g)
	}
	return reportPage{
		Title:  "Single pods, packed",
		Intro:  "Pods arrive one by one on an empty cluster and never leave; one that fits nowhere is dropped. Lower is better.",
		Charts: []chart{unallocated, fragments}, Tables: r.tables(),
	}
}
