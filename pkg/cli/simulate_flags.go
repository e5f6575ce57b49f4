package cli

import (
	"fmt"
	"slices"
	"strings"
)

// simulationKind is what a simulation is of.
type simulationKind string

const (
	ofPods    simulationKind = "single pods"
	ofGangs   simulationKind = "gangs"
	ofElastic simulationKind = "elastic jobs (--elastic)"
)

// flagOf is a flag that does not mean something to every simulation.
type flagOf struct {
	name string
	to   []simulationKind
	// general is one that may be given to every simulation nevertheless, which then says that it
	// means nothing: scripts give it without a look at the columns.
	general bool
}

// flagsOf are all such flags.
var flagsOf = []flagOf{
	{name: "policy", to: []simulationKind{ofPods, ofGangs}, general: true},
	{name: "arrive", to: []simulationKind{ofPods}, general: true},
	{name: "seeds", to: []simulationKind{ofPods, ofElastic}},
	{name: "topology", to: []simulationKind{ofGangs, ofElastic}},
	{name: "patience", to: []simulationKind{ofGangs}},
	{name: "reserve-after", to: []simulationKind{ofGangs, ofElastic}},
	{name: "reclaim-after", to: []simulationKind{ofGangs, ofElastic}},
	{name: "preemption", to: []simulationKind{ofGangs, ofElastic}},
	{name: "declare-durations", to: []simulationKind{ofGangs, ofElastic}},
	{name: "queues", to: []simulationKind{ofGangs, ofElastic}},
	{name: "load", to: []simulationKind{ofGangs}},
	{name: "loads", to: []simulationKind{ofElastic}},
	{name: "restart", to: []simulationKind{ofGangs, ofElastic}},
	{name: "checkpoint", to: []simulationKind{ofGangs, ofElastic}},
}

// of says what is simulated, by the columns of the jobs.
func (f *simulateFlags) of(header []string) (simulationKind, error) {
	switch {
	case slices.Contains(header, "num_gpu") && f.elastic != "":
		return "", fmt.Errorf("--elastic: single pods have one size; the jobs need a column workers")
	case slices.Contains(header, "num_gpu"):
		return ofPods, nil
	case !slices.Contains(header, "workers"):
		return "", fmt.Errorf("%s: has neither a column num_gpu (single pods) nor workers (gangs); see lockstep simulate --help", f.jobs)
	case f.elastic != "":
		return ofElastic, nil
	}
	return ofGangs, nil
}

// suit says which flags were given that mean nothing to what is simulated: as an error, or as
// notes of those that are general.
func (f *simulateFlags) suit(what simulationKind) (notes []string, err error) {
	for _, flag := range flagsOf {
		if !f.given(flag.name) || slices.Contains(flag.to, what) {
			continue
		}
		to := make([]string, len(flag.to))
		for i, other := range flag.to {
			to[i] = string(other)
		}
		text := fmt.Sprintf("--%s: is for %s, and means nothing to %s", flag.name, strings.Join(to, " and "), what)
		if !flag.general {
			return nil, fmt.Errorf("%s: leave it out", text)
		}
		notes = append(notes, text)
	}
	if f.given("reclaim-after") && len(f.queues) == 0 {
		return nil, fmt.Errorf("--reclaim-after: is for --queues, and means nothing without: leave it out")
	}
	return notes, nil
}
