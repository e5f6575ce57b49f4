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
	switch r.Kind {
	case placement.NoNodes:
		reason.Message = fmt.Sprintf("none of %d nodes may run any of the %d pods (node selectors, affinity, taints)", r.Nodes, r.Members)
		return reason
	case placement.NoSuchLevel:
		reason.Message = fmt.Sprintf("no node bears the label of topology level %q", view.Tree.LevelName(r.Level))
		return reason
	case placement.FixedApart:
		reason.Message = fmt.Sprintf("the members that run already are not %s", where)
		return reason
	case placement.SliceStuck:
		reason.Message = fmt.Sprintf("what a slice lacks (%d pods) has to go to the %s of its others", r.Members, view.Tree.LevelName(r.Level))
	case placement.Impossible:
		reason.Message = fmt.Sprintf("%d pods can never fit %s%s, even if it were empty", r.Members, where, sliced)
	default:
		reason.Message = fmt.Sprintf("%d pods do not fit %s%s now", r.Members, where, sliced)
	}
	var parts []string
	lacks, has := r.Missing, "has"
	if r.Kind == placement.Impossible && len(r.Emptied) > 0 {
		lacks, has = r.Emptied, "would have"
	}
	for _, m := range lacks[:min(len(lacks), shown)] {
		parts = append(parts, missing(m, has, view, names))
	}
	if len(parts) > 0 {
		reason.Message += ": " + strings.Join(parts, "; ")
	}
	if r.Ineligible > 0 && r.Kind != placement.SliceStuck {
		reason.Message += fmt.Sprintf(" (%d of %d nodes may not run them)", r.Ineligible, r.Nodes)
	}
	return reason
}

// missing says how far one domain is from holding the gang.
func missing(m placement.Missing, has string, view View, names *cluster.Vocabulary) string {
	domain := "the cluster"
	if path := view.Tree.Domains[m.Domain].Path; path != "" {
		domain = path
	}
	if m.Need <= m.Free {
		return fmt.Sprintf("%s %s room for each kind of pod by itself, not for all of them", domain, has)
	}
	resource := names.Name(m.Resource)
	return fmt.Sprintf("%s %s room for %d of them, %s %s short of %s",
		domain, has, m.Placeable, amount(m.Resource, m.Need-m.Free), resource, amount(m.Resource, m.Need))
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
