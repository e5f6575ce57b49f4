package placement

import (
	"sort"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// Kind is the class of a rejection.
type Kind string

// Why a gang has no place.
const (
	// NoNodes: no node may run some class at all (taints, selectors, none there).
	NoNodes Kind = "NoEligibleNodes"
	// DoesNotFit: there is not enough room now; there is when the cluster is empty.
	DoesNotFit Kind = "DoesNotFit"
	// Impossible: there is not enough room even when the cluster is empty.
	Impossible Kind = "Impossible"
	// FixedApart: the members already placed do not share a required domain.
	FixedApart Kind = "MembersApart"
	// NoSuchLevel: no node bears the label of the required level.
	NoSuchLevel Kind = "TopologyLevelAbsent"
)

// Missing says what one domain lacks for the whole gang.
type Missing struct {
	// Domain is the tree's number of the domain.
	Domain int
	// Resource is the place of the scarcest resource.
	Resource int
	// Need is what the members to place ask for, Free what of it they could
	// really use in the domain, slot by slot. Need > Free, except where several
	// classes fit one by one but not together.
	Need, Free int64
	// Placeable is the number of members that fit, class by class.
	Placeable int
}

// Rejection is why there is no plan, with numbers.
type Rejection struct {
	Kind Kind
	// Level is the level whose domains were asked: the required one, or the cluster.
	Level int
	// Members is the number of members that had to be placed.
	Members int
	// Missing is filled for DoesNotFit and Impossible: the domains nearest to
	// holding the gang first, at most maxMissing of them.
	Missing []Missing
	// Ineligible counts the nodes on which no member may run whatever is free.
	Ineligible, Nodes int
}

const maxMissing = 8

// reject explains why Solve found nothing.
func reject(req Request, nodes []cluster.Node, tree *topology.Tree) *Rejection {
	r := &Rejection{Kind: DoesNotFit, Level: req.Required, Members: req.Size(), Nodes: len(nodes)}
	for node := range nodes {
		if !anyClass(req, node) {
			r.Ineligible++
		}
	}
	domains := candidates(req, tree, req.Required)
	switch {
	case r.Ineligible == len(nodes):
		r.Kind = NoNodes
		return r
	case req.Required > 0 && !tree.Labelled(req.Required):
		r.Kind = NoSuchLevel
		return r
	case len(domains) == 0:
		r.Kind = FixedApart
		return r
	}
	for _, d := range domains {
		r.Missing = append(r.Missing, missingIn(req, nodes, tree, d))
	}
	sort.SliceStable(r.Missing, func(i, j int) bool {
		a, b := r.Missing[i], r.Missing[j]
		if a.Placeable != b.Placeable {
			return a.Placeable > b.Placeable
		}
		return a.Need-a.Free < b.Need-b.Free
	})
	r.Missing = r.Missing[:min(len(r.Missing), maxMissing)]
	if !fitsEmpty(req, nodes, tree) {
		r.Kind = Impossible
	}
	return r
}

func anyClass(req Request, node int) bool {
	for _, class := range req.Classes {
		if class.Eligible == nil || class.Eligible(node) {
			return true
		}
	}
	return false
}

// fitsEmpty reports whether the gang would fit if nothing else ran anywhere.
func fitsEmpty(req Request, nodes []cluster.Node, tree *topology.Tree) bool {
	empty := append([]cluster.Node(nil), nodes...)
	for i := range empty {
		empty[i].Free = empty[i].Allocatable
	}
	if stateCount(req.Classes, maxStates) > maxStates {
		return solveGreedy(req, empty, tree, nil) != nil
	}
	return solveExact(req, empty, tree, nil) != nil
}

// missingIn measures how far one domain is from holding the gang, by the class
// that is short of the most members.
func missingIn(req Request, nodes []cluster.Node, tree *topology.Tree, d int) Missing {
	m := Missing{Domain: d}
	worst, short := 0, -1
	for c, class := range req.Classes {
		slots := classSlots(class, nodes, tree, d, nil)
		m.Placeable += slots
		if class.Count-slots > short {
			worst, short = c, class.Count-slots
		}
	}
	class := req.Classes[worst]
	m.Resource = scarcest(class, nodes, tree, d)
	each := class.Requests.Get(m.Resource)
	m.Need = each * int64(class.Count)
	m.Free = each * int64(class.Count-short)
	return m
}

// scarcest is the resource that alone would allow the fewest members of a class;
// among equals the one the class is chiefly about.
func scarcest(class Class, nodes []cluster.Node, tree *topology.Tree, d int) int {
	best, fewest := class.Requests.Primary(), class.Count+1
	for resource := len(class.Requests) - 1; resource >= 0; resource-- {
		if class.Requests[resource] <= 0 {
			continue
		}
		only := Class{Requests: make(cluster.Resources, resource+1), Count: class.Count, Eligible: class.Eligible}
		only.Requests[resource] = class.Requests[resource]
		slots := classSlots(only, nodes, tree, d, nil)
		if slots < fewest || slots == fewest && resource == class.Requests.Primary() {
			best, fewest = resource, slots
		}
	}
	return best
}
