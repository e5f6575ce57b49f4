package placement

import (
	"cmp"
	"encoding/binary"
	"slices"
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
	// NoSuchLevel: no node bears the label of the required level, or that of the slices.
	NoSuchLevel Kind = "TopologyLevelAbsent"
	// BadSlices: a class cannot be cut into slices of the size asked for.
	BadSlices Kind = "SlicesUneven"
	// SliceStuck: a slice is placed in part, and the domain that holds it has no room
	// for its other members.
	SliceStuck Kind = "SliceIncomplete"
)

// Hosts stands for a resource where what lacks are nodes for members that never share one.
const Hosts = -1

// Missing says what one domain lacks for the whole gang.
type Missing struct {
	// Domain is the tree's number of the domain.
	Domain int
	// Resource is the place of the scarcest resource, or Hosts.
	Resource int
	// Need is what all members ask for of it, Free what of it they could really use in
	// the domain, slot by slot and class by class. Where every class fits by itself,
	// Free is what is free. Need > Free, except where it is only the borders of nodes
	// that are in the way.
	Need, Free int64
	// Placeable is the number of members that fit, class by class, and no more than the
	// domain has room for in sum.
	Placeable int
}

// Rejection is why there is no plan, with numbers.
type Rejection struct {
	Kind Kind
	// Level is the level whose domains were asked: the required one, or the cluster;
	// that of the slices where these are what cannot be had.
	Level int
	// Members is the number of members that had to be placed.
	Members int
	// Missing is filled for DoesNotFit and Impossible: the domains nearest to
	// holding the gang first, at most maxMissing of them.
	Missing []Missing
	// Emptied, for Impossible, is the same with nothing on the nodes: the best that
	// there could be.
	Emptied []Missing
	// Ineligible counts the nodes on which no member may run whatever is free.
	Ineligible, Nodes int
}

const maxMissing = 8

// invalid rejects what no cluster could satisfy by its form.
func (x *Index) invalid(req Request) *Rejection {
	for c := range req.Classes {
		if n := req.slice(c); n > 1 && req.Classes[c].Count%n != 0 {
			return &Rejection{Kind: BadSlices, Level: req.SliceLevel, Members: req.Size(), Nodes: len(x.nodes)}
		}
	}
	return nil
}

// rejectionKey is equal for requests that are rejected for the same cause; it is
// empty for those that cannot be told from others.
func (x *Index) rejectionKey(req Request) string {
	if len(req.Fixed) > 0 {
		return ""
	}
	for _, class := range req.Classes {
		if len(class.Excluded) > 0 {
			return ""
		}
	}
	key, opaque := x.shapeKey(req, false)
	if opaque {
		return ""
	}
	return string(binary.AppendUvarint([]byte(key), uint64(req.Required)))
}

// kindOf finds out why there is no plan. What is free has no part in it, but for slices
// that are begun, so what was found for the key stands until something is altered.
func (x *Index) kindOf(req Request, key string) Kind {
	begun := slices.ContainsFunc(req.Classes, func(class Class) bool { return class.Within > 0 })
	if v, known := x.rejected[key]; known && v.altered == x.altered && key != "" && !begun {
		return v.kind
	}
	switch {
	case x.ineligible(req) == len(x.nodes):
		return NoNodes
	case req.Required > 0 && !x.tree.Labelled(req.Required):
		return NoSuchLevel
	case len(x.domains(req)) == 0:
		return FixedApart
	case x.stuck(req) >= 0:
		return SliceStuck
	case req.SliceSize > 1 && !x.tree.Labelled(req.SliceLevel):
		return NoSuchLevel
	case x.emptied().plan(req) == nil:
		return Impossible
	}
	return DoesNotFit
}

// domains lists those that could have to hold the whole gang.
func (x *Index) domains(req Request) []int {
	return candidates(req, x.tree, commonOf(x.tree, req.Fixed), req.Required)
}

// explain adds the numbers of the present to the kind of a rejection.
func (x *Index) explain(req Request, kind Kind) *Rejection {
	r := &Rejection{
		Kind: kind, Level: req.Required, Members: req.Size(), Nodes: len(x.nodes), Ineligible: x.ineligible(req),
	}
	switch kind {
	case DoesNotFit, Impossible:
	case SliceStuck:
		x.explainStuck(req, r)
		return r
	case NoSuchLevel:
		if req.Required == 0 || x.tree.Labelled(req.Required) {
			r.Level = req.SliceLevel
		}
		return r
	case NoNodes, FixedApart, BadSlices:
		return r
	}
	r.Missing = x.lacks(req)
	if kind == Impossible {
		r.Emptied = x.emptied().lacks(req)
	}
	return r
}

// lacks says how far domains are from holding the gang, the nearest first.
func (x *Index) lacks(req Request) []Missing {
	counts := make([]*slots, len(req.Classes))
	for c, class := range req.Classes {
		counts[c] = x.slotsOf(class, false)
	}
	var list []Missing
	inSlices := x.inSlices(req, counts)
	slotsIn := func(d int) func(int) int64 {
		return func(c int) int64 {
			if inSlices[c] != nil {
				return inSlices[c][d]
			}
			return counts[c].at[d]
		}
	}
	for _, d := range x.domains(req) {
		m := missingIn(req, slotsIn(d))
		m.Domain, m.Placeable = d, min(m.Placeable, x.together(req, d))
		list = append(list, m)
	}
	slices.SortStableFunc(list, func(a, b Missing) int {
		if a.Placeable != b.Placeable {
			return b.Placeable - a.Placeable
		}
		return int(max(-1, min(1, (a.Need-a.Free)-(b.Need-b.Free))))
	})
	list = list[:min(len(list), maxMissing)]
	for i := range list {
		x.nameScarcest(req, &list[i], slotsIn(list[i].Domain))
	}
	return list
}

func (x *Index) ineligible(req Request) int {
	n := 0
	for node := range x.nodes {
		if !anyClass(req, node) {
			n++
		}
	}
	return n
}

func anyClass(req Request, node int) bool {
	for _, class := range req.Classes {
		if class.Eligible == nil || class.Eligible(node) {
			return true
		}
	}
	return false
}

// stuck is the first class that has no room in the domain that has to hold it; -1
// for none.
func (x *Index) stuck(req Request) int {
	return slices.IndexFunc(req.Classes, func(class Class) bool {
		return class.Within > 0 && x.slotsOf(class, false).at[class.Within] < int64(class.Count)
	})
}

// explainStuck adds what the domain of the class that is stuck lacks.
func (x *Index) explainStuck(req Request, r *Rejection) {
	if c := x.stuck(req); c >= 0 {
		class := req.Classes[c]
		r.Level, r.Members = x.tree.Domains[class.Within].Level, class.Count
		m := Missing{
			Domain: class.Within, Resource: c, Need: int64(class.Count), Free: x.slotsOf(class, false).at[class.Within],
		}
		m.Placeable = int(m.Free)
		m.Resource = 0
		x.nameScarcest(Request{Classes: []Class{class}}, &m, func(int) int64 { return m.Free })
		r.Missing = []Missing{m}
	}
}

// inSlices counts, for each class that is cut into slices, the members that fit in
// whole slices into each domain of the required level; nil for other classes.
func (x *Index) inSlices(req Request, counts []*slots) []map[int]int64 {
	out := make([]map[int]int64, len(req.Classes))
	for c := range req.Classes {
		slice := int64(req.slice(c))
		if slice == 1 || req.SliceLevel < req.Required {
			continue
		}
		out[c] = map[int]int64{}
		for _, d := range x.tree.AtLevel(req.SliceLevel) {
			n := counts[c].at[d]
			out[c][x.tree.Ancestor(d, req.Required)] += n - n%slice
		}
	}
	return out
}

// missingIn measures how far one domain is from holding the gang, by the class
// that is short of the most members. Need and Free are in members; the class's
// number stands in for the resource. See nameScarcest.
func missingIn(req Request, slots func(class int) int64) Missing {
	var m Missing
	short := int64(-1)
	for c, class := range req.Classes {
		n := min(slots(c), int64(class.Count))
		m.Placeable += int(n)
		if want := int64(class.Count); want-n > short {
			short = want - n
			m.Resource, m.Need, m.Free = c, want, n
		}
	}
	return m
}

// together bounds the members that fit into a domain beside each other, by the sum of
// what they could use there: the smallest go first. Of one class the slots say as much.
func (x *Index) together(req Request, d int) int {
	most := req.Size()
	if len(req.Classes) == 1 {
		return most
	}
	order := make([]int, len(req.Classes))
	for resource := range req.Total() {
		grain := int64(0)
		for c := range order {
			order[c] = c
			grain = gcd(grain, req.Classes[c].Requests.Get(resource))
		}
		if grain == 0 {
			continue
		}
		each := func(c int) int64 { return req.Classes[c].Requests.Get(resource) }
		slices.SortFunc(order, func(a, b int) int { return cmp.Compare(each(a), each(b)) })
		n, free := 0, x.usable(req, d, resource, grain)
		for _, c := range order {
			fits := req.Classes[c].Count
			if each(c) > 0 {
				fits = int(min(int64(fits), max(0, free)/each(c)))
			}
			n, free = n+fits, free-times(each(c), fits)
		}
		most = min(most, n)
	}
	return most
}

// nameScarcest turns members of the class that is shortest into amounts of its scarcest
// resource for all, or names the resource of which all classes together ask for more than
// there is.
func (x *Index) nameScarcest(req Request, m *Missing, slots func(class int) int64) {
	if m.Need == m.Free {
		for resource, need := range req.Total() {
			if free := x.free.of(resource, m.Domain); need > free {
				m.Resource, m.Need, m.Free = resource, need, free
				return
			}
		}
	}
	class := req.Classes[m.Resource]
	scarcest, fits := x.scarcest(class, m.Domain)
	if class.Apart != 0 && m.Free < fits {
		m.Resource = Hosts
		return
	}
	m.Resource = scarcest
	need, usable, grain := int64(0), int64(0), int64(0)
	for c, class := range req.Classes {
		each := class.Requests.Get(m.Resource)
		need = saturatingAdd(need, times(each, class.Count))
		usable = saturatingAdd(usable, times(each, int(min(slots(c), int64(class.Count)))))
		grain = gcd(grain, each)
	}
	m.Need, m.Free = need, min(usable, x.usable(req, m.Domain, m.Resource, grain))
}

// usable is what is free of a resource on the nodes of a domain in whole grains; no room
// is counted for two classes.
func (x *Index) usable(req Request, d, resource int, grain int64) int64 {
	sum := int64(0)
	x.eachNode(d, func(node int) bool {
		if free := x.nodes[node].Free.Get(resource); free > 0 && anyClass(req, node) {
			sum = saturatingAdd(sum, free-free%grain)
		}
		return true
	})
	return sum
}

// gcd is the greatest common divisor; of zero and another it is the other.
func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// scarcest is the resource that alone would allow the fewest members of a class
// in a domain, and how many; among equals the one the class is chiefly about.
func (x *Index) scarcest(class Class, d int) (resource int, members int64) {
	best, fewest := class.Requests.Primary(), int64(class.Count)+1
	for resource, each := range slices.Backward(class.Requests) {

		if each <= 0 {
			continue
		}
		n := int64(0)
		x.eachNode(d, func(node int) bool {
			if class.Eligible == nil || class.Eligible(node) {
				n += max(0, x.nodes[node].Free.Get(resource)) / each
			}
			return n < int64(class.Count)
		})
		n = min(n, int64(class.Count))
		if n < fewest || n == fewest && resource == class.Requests.Primary() {
			best, fewest = resource, n
		}
	}
	return best, min(fewest, int64(class.Count))
}

// eachNode visits the nodes of a domain in the tree's order until visit says stop.
func (x *Index) eachNode(d int, visit func(node int) bool) bool {
	if node := x.tree.Domains[d].Node; node >= 0 {
		return visit(node)
	}
	for _, child := range x.tree.Domains[d].Children {
		if !x.eachNode(child, visit) {
			return false
		}
	}
	return true
}
