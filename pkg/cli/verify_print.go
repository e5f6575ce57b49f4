package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"lockstep.dev/lockstep/pkg/invariants"
)

// violationView is a violation in the names of the JSON output.
type violationView struct {
	Invariant string    `json:"invariant"`
	At        time.Time `json:"at"`
	// Objects that are concerned, as KIND/NAMESPACE/NAME.
	Objects  []string    `json:"objects"`
	Sentence string      `json:"sentence"`
	Evidence []proofView `json:"evidence"`
}

// proofView is an event that proves a violation. Seq is its place in what was watched,
// and Revision the object's resourceVersion.
type proofView struct {
	Seq      int       `json:"seq"`
	At       time.Time `json:"at"`
	Revision string    `json:"revision,omitempty"`
	What     string    `json:"what"`
}

func newViolationView(v invariants.Violation) violationView {
	view := violationView{v.Invariant, v.At, v.Objects, v.Sentence, []proofView{}}
	for _, e := range v.Evidence {
		view.Evidence = append(view.Evidence, proofView{e.Seq, e.At, e.Revision, e.String()})
	}
	return view
}

// maxProof is how many events people are shown of a violation; the last ones.
const maxProof = 5

// tell prints violations as they come.
func (v *verification) tell(violations []invariants.Violation) {
	for _, found := range violations {
		view := newViolationView(found)
		v.found = append(v.found, view)
		switch {
		case v.output != outputJSON:
			v.print(view)
		case v.streams():
			_ = json.NewEncoder(v.out).Encode(map[string]any{"violation": view})
		}
	}
}

func (v *verification) print(view violationView) {
	v.screen.plain(fmt.Sprintf("%s  %s  %s", view.At.Format(time.TimeOnly), v.screen.bad(fmt.Sprintf("%-3s", view.Invariant)), printable(view.Sentence)))
	proof := view.Evidence
	if more := len(proof) - maxProof; more > 0 {
		v.screen.plain(v.screen.quiet(fmt.Sprintf("               %d earlier events, and", more)))
		proof = proof[more:]
	}
	for _, e := range proof {
		v.screen.plain(v.screen.quiet(printable(fmt.Sprintf("               %s  %s", e.At.Format(time.TimeOnly), e.What))))
	}
}

// streams: the output is one JSON object per line, as things happen.
func (v *verification) streams() bool { return v.watch || v.period > 0 }

// summary is what is said at the end, in the names of the JSON output.
type summary struct {
	Violations map[string]int `json:"violations"` // by invariant
	Suspicions int            `json:"suspicions"` // that were not due yet
	Nodes      int            `json:"nodes"`
	Pods       int            `json:"pods"`
	Gangs      int            `json:"gangs"`
	Jobs       int            `json:"jobs"`
	Events     int            `json:"events"` // that were judged
}

// conclude says how it has gone.
func (v *verification) conclude() error {
	end := summary{Violations: map[string]int{}}
	v.recording.Do(func() {
		size := v.checker.Size()
		end.Suspicions = len(v.checker.Suspected())
		end.Nodes, end.Pods, end.Gangs, end.Jobs, end.Events = size.Nodes, size.Pods, size.Gangs, size.Jobs, size.Events
	})
	for _, view := range v.found {
		end.Violations[view.Invariant]++
	}
	var err error
	switch {
	case v.output != outputJSON:
		v.screen.plain(v.sum(end))
	case v.streams():
		err = json.NewEncoder(v.out).Encode(map[string]any{"summary": end})
	default:
		err = printJSON(v.out, map[string]any{"violations": append([]violationView{}, v.found...), "summary": end})
	}
	if err == nil && len(v.found) > 0 {
		return errNo
	}
	return err
}

func (v *verification) sum(end summary) string {
	text := v.screen.good("no violation")
	if n := len(v.found); n > 0 {
		text = v.screen.bad(plural(n, "violation"))
	}
	text += fmt.Sprintf(": %s, %s and %s on %s, %s", plural(end.Gangs, "gang"), plural(end.Jobs, "job"), plural(end.Pods, "pod"),
		plural(end.Nodes, "node"), plural(end.Events, "event"))
	if end.Suspicions > 0 {
		text += "; not as it should be, and may still be mended in time: " + plural(end.Suspicions, "more thing")
	}
	return text
}
