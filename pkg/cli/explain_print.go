package cli

import (
	"fmt"
	"slices"
	"strings"

	"lockstep.dev/lockstep/pkg/gang"
)

func printExplanation(s *screen, e explanation) {
	line := fmt.Sprintf("%s: %s", s.name("podgroup "+e.Namespace+"/"+e.Name), e.State)
	if e.Position > 0 {
		line += fmt.Sprintf(", number %d in the queue", e.Position)
	}
	line += fmt.Sprintf(", priority %d", e.Priority)
	if e.AgeSeconds != nil {
		line += ", " + ageText(e.AgeSeconds) + " old"
	}
	s.plain(line)
	s.plain("  " + e.verdict(s))
	s.plain(fmt.Sprintf("  %s, %d bound", e.size(), len(e.Bound)))
	if e.Trouble != "" {
		s.plain("  its job: " + printable(e.Trouble))
	}
	if e.Queue != "" {
		s.plain("  in queue " + e.Queue)
	}
	if e.Size != "" {
		s.plain("  " + printable(e.Size))
	}
	if e.Machines != "" {
		s.plain("  " + printable(e.Machines))
	}
	if e.Topology != nil {
		s.plain("  asks for " + e.Topology.String())
	}
	if e.Reservation != nil {
		s.plain("  " + e.Reservation.text(e.now))
	}
	if len(e.Barred) > 1 {
		var names []string
		for _, b := range e.Barred {
			names = append(names, b.Pod)
		}
		s.plain("  held back: " + shorten(names))
	}
	var missing []shortage
	holders := map[shortage][]holder{}
	for _, m := range e.Missing {
		missing, holders[m.shortage] = append(missing, m.shortage), m.Holders
	}
	printShortages(s, missing, func(m shortage) string { return holdersText(holders[m]) })
	if len(e.Roomiest) > 0 {
		rows := [][]string{{"ROOMIEST", "FREE", "OF", "NODES", "HELD BY"}}
		for _, d := range e.Roomiest {
			rows = append(rows, []string{
				domainName(d.Level, d.Domain), d.Free.String(), d.Total.String(), fmt.Sprint(d.Nodes), holdersText(d.Holders),
			})
		}
		s.table(rows)
	}
	rows := [][]string{{"NODE", "PODS", ""}}
	for _, node := range byNode(append(slices.Clone(e.Bound), e.Assignments...)) {
		rows = append(rows, []string{node.name, fmt.Sprint(len(node.pods)), shorten(node.pods)})
	}
	if len(rows) > 1 {
		s.table(rows)
	}
	if len(e.Ahead) > 0 {
		s.plain("  tried before it: " + shorten(e.Ahead))
	}
	if len(e.Unchecked) > 0 {
		s.plain("  not checked here, the scheduler does: " + strings.Join(e.Unchecked, ", "))
	}
	if c := e.Condition; c != nil {
		since := max(0, int64(e.now.Sub(c.LastTransitionTime.Time).Seconds()))
		s.plain(fmt.Sprintf("  the scheduler says: %s=%s for %s, %s: %s", c.Type, c.Status, ageText(&since), c.Reason, c.Message))
	}
}

// verdict is the answer in one line.
func (e explanation) verdict(s *screen) string {
	switch {
	case !e.Fits && e.Message != "":
		return s.bad("waits") + ": " + e.Message
	case !e.Fits:
		return s.bad("waits") + ": " + e.Reason
	case e.State == string(gang.Placed) && e.Waiting > 0:
		return fmt.Sprintf("%s: %s; %s", s.good("has its place"), e.where(), e.beyond())
	case e.State == string(gang.Placed):
		return s.good("has its place") + ": " + e.where()
	}
	return s.wait("waits for its turn") + ": it fits now, on " + e.where()
}
