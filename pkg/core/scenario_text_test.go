package core_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
)

// What scenarios print: where gangs and members stand, and effects, a line each.

var stateNames = map[gang.State]string{
	gang.Waiting: "waiting", gang.Held: "held", gang.Reserved: "reserved", gang.Binding: "binding", gang.Bound: "bound",
}

// census prints what the core counts of all gangs.
func (w *world) census() {
	census, ok := w.core.Census()
	if !ok {
		fmt.Fprintln(&w.out, "another has it to tell")
		return
	}
	var lines []string
	for phase, n := range census.Phases {
		lines = append(lines, fmt.Sprintf("%d %s", n, phase))
	}
	for _, waits := range census.Waiting {
		lines = append(lines, fmt.Sprintf("%s waits in queue %q: %s", waits.Key, waits.Queue, waits.Reason))
	}
	for kind, n := range census.Reserved {
		lines = append(lines, fmt.Sprintf("%d reservations: %s", n, kind))
	}
	for _, s := range census.Queues {
		lines = append(lines, fmt.Sprintf("queue %s: holds %d, guaranteed %d, cap %v", s.Queue, s.Held.Get(w.gpu), s.Guaranteed.Get(w.gpu), s.Cap[w.gpu]))
	}
	slices.Sort(lines)
	fmt.Fprintln(&w.out, strings.Join(lines, "\n"))
}

func (w *world) state() {
	seen := map[gang.Key]bool{}
	show := func(k gang.Key) {
		status, ok := w.core.Status(k)
		if !ok || seen[k] {
			return
		}
		seen[k] = true
		fmt.Fprintf(&w.out, "%s\n", standing(k, status))
		for _, uid := range w.members(k) {
			state, known := w.core.State(uid)
			if !known {
				continue
			}
			fmt.Fprintf(&w.out, "  %s %s", uid, stateNames[state])
			if node, ok := w.core.Pinned(uid); ok {
				fmt.Fprintf(&w.out, " pinned to %s", node)
			} else if node := w.pods[uid].assumed + w.pods[uid].Node; node != "" {
				fmt.Fprintf(&w.out, " on %s", node)
			}
			fmt.Fprintln(&w.out)
		}
	}
	for _, k := range w.keys() {
		show(k)
	}
	for _, uid := range w.members(gang.Key{}) {
		show(w.pods[uid].Key)
	}
	for _, n := range w.view().Nodes {
		if held := w.core.HeldOn(n.Name, ""); len(held) > 0 {
			fmt.Fprintf(&w.out, "%s: %d gpus held\n", n.Name, held.Get(w.gpu))
		}
	}
}

func standing(k gang.Key, s core.Status) string {
	line := fmt.Sprintf("%s %s, floor %d", k, s.Phase, s.Floor)
	if s.Reason.Code != "" {
		line += fmt.Sprintf(" | %s: %s", s.Reason.Code, s.Reason.Message)
	}
	if r := s.Reservation; r != nil {
		var nodes []string
		for _, room := range r.Room {
			nodes = append(nodes, fmt.Sprintf("%s:%d", room.Node, room.Amounts.Get(firstExtended)))
		}
		line += fmt.Sprintf(" | %s on %s until %s", r.Kind, strings.Join(nodes, " "), r.Start.Format(time.TimeOnly))
	}
	return line
}

// firstExtended is the place of the GPUs: the first resource that is no node's own.
const firstExtended = cluster.Pods + 1

func describe(e core.Effect) string {
	list := func(uids []string) string { return strings.Join(uids, " ") }
	switch e := e.(type) {
	case core.Pin:
		return fmt.Sprintf("pin %s to %s", e.UID, e.Node)
	case core.Roam:
		where := "everywhere"
		if e.Nodes != nil {
			where = list(e.Nodes)
		}
		return fmt.Sprintf("let %s roam near %s, allowed is %s", e.UID, e.Near, where)
	case core.Refuse:
		return fmt.Sprintf("refuse %s | %s: %s", e.UID, e.Reason.Code, e.Reason.Message)
	case core.Activate:
		return "activate " + list(e.UIDs)
	case core.Release:
		return "release " + list(e.UIDs)
	case core.GiveBack:
		return fmt.Sprintf("give back %s | %s: %s", list(e.UIDs), e.Reason.Code, e.Reason.Message)
	case core.Evict:
		return fmt.Sprintf("evict %s | %s: %s", list(e.UIDs), e.Reason.Code, e.Reason.Message)
	case core.Report:
		return "report " + standing(e.Key, e.Status)
	}
	return fmt.Sprintf("%T", e)
}
