package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/topology"
)

func printPlans(s *screen, plans []gangPlan) {
	if len(plans) == 0 {
		s.plain("no gang waits")
	}
	for i, plan := range plans {
		if i > 0 {
			s.plain("")
		}
		printPlan(s, plan)
	}
}

func printPlan(s *screen, plan gangPlan) {
	name := s.name(plan.Namespace + "/" + plan.Name)
	if !plan.Fits {
		s.plain(fmt.Sprintf("%s %s: %s", name, s.bad("does not fit"), plan.Message))
		s.plain("  " + plan.size())
		printShortages(s, plan.Missing, nil)
		return
	}
	fits := "fits"
	switch {
	case len(plan.Victims) > 0:
		fits = "fits once others have gone"
	case plan.Leaving > 0:
		fits = "fits once " + onTheWayOut(plan.Leaving, "has left", "have left")
	}
	s.plain(fmt.Sprintf("%s %s: %s; %s", name, s.good(fits), plan.size(), plan.where()))
	rows := [][]string{{"NODE", "PODS", ""}}
	for _, node := range byNode(plan.Assignments) {
		rows = append(rows, []string{node.name, strconv.Itoa(len(node.pods)), shorten(node.pods)})
	}
	if len(rows) > 1 {
		s.table(rows)
	}
	printVictims(s, plan)
	if len(plan.Bound) > 0 {
		s.plain(fmt.Sprintf("  beside %s bound already", plural(len(plan.Bound), "pod")))
	}
	if plan.Waiting > 0 {
		s.plain("  " + plan.beyond())
	}
}

// printVictims lists who has to go.
func printVictims(s *screen, plan gangPlan) {
	if len(plan.Victims) == 0 {
		return
	}
	rows := [][]string{{"VICTIM", "GOES", "WHY", "PODS", ""}}
	for _, v := range plan.Victims {
		goes := "whole"
		if v.Partial {
			goes = "surplus"
		}
		rows = append(rows, []string{v.Gang, goes, v.Why, strconv.Itoa(len(v.Pods)), shorten(v.Pods)})
	}
	s.table(rows)
	if plan.Leaving > 0 {
		s.plain("  " + onTheWayOut(plan.Leaving, "has to leave as well", "have to leave as well"))
	}
	if plan.VictimsAfter != "" {
		s.plain(fmt.Sprintf("  not before the gang has waited for the scheduler's %s (10 minutes by default)", plan.VictimsAfter))
	}
	if plan.Violations > 0 {
		s.plain(fmt.Sprintf("  %s more than PodDisruptionBudgets allow: the scheduler would wait", plural(plan.Violations, "pod")))
	}
	if !*plan.Minimal {
		s.plain("  not known to be the fewest possible: too many to try them all")
	}
}

// onTheWayOut is a sentence about pods that are being deleted.
func onTheWayOut(n int, does, do string) string {
	if n == 1 {
		do = does
	}
	return plural(n, "pod") + " on the way out " + do
}

func (p gangPlan) size() string {
	if p.Floor == 0 {
		return plural(p.Members, "pod")
	}
	return fmt.Sprintf("%s, %d needed", plural(p.Members, "pod"), p.Floor)
}

// where says how close together a gang is.
func (p gangPlan) where() string {
	if p.Level == "" {
		return "all have ended"
	}
	hosts := plural(p.Domains[topology.HostLevel], "node")
	if p.Level == topology.ClusterLevel {
		return hosts + " of the cluster"
	}
	if p.Level == topology.HostLevel {
		return "one node, " + p.Domain
	}
	return fmt.Sprintf("%s in %s %s", hosts, p.Level, p.Domain)
}

// beyond says that members wait although the floor has its place.
func (p gangPlan) beyond() string {
	verb := "wait"
	if p.Waiting == 1 {
		verb = "waits"
	}
	return fmt.Sprintf("%d beyond the floor %s: %s", p.Waiting, verb, p.Message)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// nodePods are the pods of a gang on one node.
type nodePods struct {
	name string
	pods []string
}

// byNode groups assignments, the node of the first rank first.
func byNode(assignments []assignment) []nodePods {
	var nodes []nodePods
	place := map[string]int{}
	for _, a := range assignments {
		i, known := place[a.Node]
		if !known {
			i = len(nodes)
			place[a.Node] = i
			nodes = append(nodes, nodePods{name: a.Node})
		}
		nodes[i].pods = append(nodes[i].pods, a.Pod)
	}
	return nodes
}

// shorten names the first few of a list.
func shorten(names []string) string {
	const few = 4
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

// printShortages lists what domains lack; held, if given, says who is in a domain.
func printShortages(s *screen, list []shortage, held func(shortage) string) {
	if len(list) == 0 {
		return
	}
	heading := []string{"WHERE", "RESOURCE", "NEEDED", "FREE", "ROOM FOR"}
	if held != nil {
		heading = append(heading, "HELD BY")
	}
	rows := [][]string{heading}
	for _, m := range list {
		row := []string{
			domainName(m.Level, m.Domain), m.Resource, m.Need.String(), m.Free.String(), plural(m.Placeable, "pod"),
		}
		if held != nil {
			row = append(row, held(m))
		}
		rows = append(rows, row)
	}
	s.table(rows)
}

func domainName(level, path string) string {
	if path == "" {
		return "the " + level
	}
	return level + " " + path
}

// uncheckedNotes says of each gang what was taken for granted.
func uncheckedNotes(o *kube.Offline, plans []gangPlan) []string {
	var notes []string
	for _, plan := range plans {
		standing, _ := o.Standing(gang.Key{Namespace: plan.Namespace, Name: plan.Name})
		var fields []string
		for _, place := range standing.Places {
			for _, name := range kube.Unchecked(place.Pod) {
				if !slices.Contains(fields, name) {
					fields = append(fields, name)
				}
			}
		}
		if len(fields) > 0 {
			notes = append(notes, fmt.Sprintf("PodGroup %s/%s: taken for granted here, the scheduler checks it: %s",
				plan.Namespace, plan.Name, strings.Join(fields, ", ")))
		}
	}
	return notes
}
