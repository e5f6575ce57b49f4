package core

import (
	"fmt"
	"strings"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/placement"
)

// Code is a reason's name, in the form that conditions and events use.
type Code string

// Why a gang or a member waits.
const (
	Starting             Code = "SchedulerStarting"
	Barred               Code = "MemberBarred"
	MemberStopped        Code = "MemberStopped"
	GroupNotFound        Code = "PodGroupNotFound"
	WaitingForMembers    Code = "WaitingForMembers"
	MixedPriority        Code = "MixedPriority"
	Invalid              Code = "PodGroupInvalid"
	QueueNotFound        Code = "QueueNotFound"
	TopologyLevelUnknown Code = "TopologyLevelUnknown"
	SlicesUneven              = Code(placement.BadSlices)
	SliceApart           Code = "SliceApart"
	GroupChanged         Code = "PodGroupChanged"
	BoundElsewhere       Code = "MemberBoundElsewhere"
	MemberLost           Code = "MemberLost"
	NodeLost             Code = "NodeLost"
	NodeRefused          Code = "NodeRefused"
	OnTheWay             Code = "OnTheWay"
	OneByOne             Code = "AnotherGangIsTried"
	BindFailed           Code = "BindFailed"
	NotHealed            Code = "GangNotCompleted"
	QuotaExceeded        Code = "QuotaExceeded"
	Preempted            Code = "PreemptedByGang"
	Revoked              Code = "RevokedForGang"
	Reclaimed            Code = "ReclaimedForQueue"
	Balanced             Code = "ReclaimedForShare"
)

// Reason is why something waits, once as a name and once in words with numbers.
type Reason struct {
	Code    Code
	Message string
}

// shown is how many domains a message names.
const shown = 3

// explain puts a planner's rejection into words.
func explain(r *placement.Rejection, p problem, names *cluster.Vocabulary) Reason {
	reason, view := Reason{Code: Code(r.Kind)}, p.view
	where := "in the cluster"
	if r.Level > 0 {
		where = "in one " + view.Tree.LevelName(r.Level)
	}
	sliced := ""
	if p.slicing.size > 1 {
		sliced = fmt.Sprintf(" in slices of %d that each need one %s", p.slicing.size, view.Tree.LevelName(p.slicing.level))
	}
	them, do := "them", "do"
	if r.Members == 1 {
		them, do = "it", "does"
	}
	switch r.Kind {
	case placement.NoNodes:
		reason.Message = noNodes(r.Nodes, r.Members)
		return reason
	case placement.NoSuchLevel:
		reason.Message = fmt.Sprintf("no node bears the label of topology level %q", view.Tree.LevelName(r.Level))
		return reason
	case placement.FixedApart:
		reason.Message = fmt.Sprintf("the members that run already are not %s", where)
		return reason
	case placement.SliceStuck:
		reason.Message = fmt.Sprintf("what a slice lacks (%s) has to go to the %s of its others", count(r.Members, "pod"), view.Tree.LevelName(r.Level))
	case placement.Impossible:
		reason.Message = fmt.Sprintf("%s can never fit %s%s, even if it were empty", count(r.Members, "pod"), where, sliced)
	default:
		reason.Message = fmt.Sprintf("%s %s not fit %s%s now", count(r.Members, "pod"), do, where, sliced)
	}
	var parts []string
	lacks, has := r.Missing, "has"
	if r.Kind == placement.Impossible && len(r.Emptied) > 0 {
		lacks, has = r.Emptied, "would have"
	}
	for _, m := range lacks[:min(len(lacks), shown)] {
		parts = append(parts, missing(m, r.Members, has, view, names))
	}
	if len(parts) > 0 {
		reason.Message += ": " + strings.Join(parts, "; ")
	}
	if r.Ineligible > 0 && r.Kind != placement.SliceStuck {
		reason.Message += fmt.Sprintf(" (%d of %d nodes may not run %s)", r.Ineligible, r.Nodes, them)
	}
	return reason
}

// portsInUse says on how many nodes nothing but a host port is lacking.
func portsInUse(taken, nodes int) string {
	if taken == 0 {
		return ""
	}
	return fmt.Sprintf("on %d of %s a host port is in use that the gang wants", taken, count(nodes, "node"))
}

// noNodes says that no node may run members of a gang, whatever room it has.
func noNodes(nodes, members int) string {
	they := "the pod"
	if members > 1 {
		they = fmt.Sprintf("any of the %d pods", members)
	}
	which := fmt.Sprintf("none of %d nodes may run ", nodes)
	switch nodes {
	case 0:
		return "the cluster has 0 nodes"
	case 1:
		which = "the 1 node of the cluster may not run "
	}
	return which + they + " (node selectors, affinity, taints)"
}

// missing says how far one domain is from holding the gang.
func missing(m placement.Missing, members int, has string, view View, names *cluster.Vocabulary) string {
	domain := "the cluster"
	if path := view.Tree.Domains[m.Domain].Path; path != "" {
		domain = path
	}
	if m.Need <= m.Free {
		return fmt.Sprintf("%s %s room for each kind of pod by itself, not for all of them", domain, has)
	}
	room := fmt.Sprintf("room for %d of them", m.Placeable)
	if members == 1 {
		room = "no room for it"
	}
	if m.Resource == placement.Hosts {
		return fmt.Sprintf("%s %s %s, %s short of %d, as no two of them share one", domain, has, room, count(int(m.Need-m.Free), "node"), m.Need)
	}
	return fmt.Sprintf("%s %s %s, %s %s short of %s",
		domain, has, room, amount(m.Resource, m.Need-m.Free), names.Name(m.Resource), amount(m.Resource, m.Need))
}

// amount writes an amount as people write it: cores, binary sizes, plain numbers.
func amount(resource int, n int64) string {
	switch resource {
	case cluster.CPU:
		if n%1000 == 0 {
			return fmt.Sprint(n / 1000)
		}
		return fmt.Sprintf("%dm", n)
	case cluster.Memory, cluster.EphemeralStorage:
		for _, unit := range []struct {
			name string
			size int64
		}{{"Ti", 1 << 40}, {"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10}} {
			if n >= unit.size {
				return fmt.Sprintf("%.4g%s", float64(n)/float64(unit.size), unit.name)
			}
		}
	}
	return fmt.Sprint(n)
}
