package preemption

import (
	"slices"

	"lockstep.dev/lockstep/pkg/cluster"
)

// unit is what goes together or stays together.
type unit struct {
	candidate int
	pods      []int // places in the candidate's pods
	whole     bool
	priority  int32
	price     cost
	parts     []part // by node, ascending
	budgets   []use
	// rivals are the units that cannot go beside it: of a whole gang the members of
	// its surplus, of those the whole gang. spare is how many of the rivals of a
	// whole gang may go.
	rivals []int
	spare  int
}

// part is what a unit frees on one node.
type part struct {
	node  int
	freed cluster.Resources
}

// use is the number of a unit's pods that a budget counts.
type use struct{ budget, pods int }

// units lists what may go for a gang of the given priority, the members of a surplus
// in the order in which they rather go.
func units(candidates []Candidate, o Options) []unit {
	var list []unit
	for i, c := range candidates {
		if len(c.Pods) == 0 || c.Priority >= o.Priority && !c.Reclaimed {
			continue
		}
		if c.Surplus { // each goes as a pod without a gang does, at another price
			for p := range slices.Backward(c.Pods) {
				u := newUnit(candidates, i, []int{p}, true, o)
				u.price[order] = int64(len(c.Pods) - 1 - p)
				list = append(list, u)
			}
			continue
		}
		every := make([]int, len(c.Pods))
		for p := range every {
			every[p] = p
		}
		gang := len(list)
		list = append(list, newUnit(candidates, i, every, true, o))
		spare := len(c.Pods) - max(1, c.Floor)
		if spare <= 0 {
			continue
		}
		for p, pod := range slices.Backward(c.Pods) {
			if pod.Firm {
				continue
			}
			u := newUnit(candidates, i, []int{p}, false, o)
			u.price[order] = int64(len(list) - gang - 1)
			u.rivals = []int{gang}
			list[gang].rivals = append(list[gang].rivals, len(list))
			list = append(list, u)
		}
		list[gang].spare = spare
	}
	return list
}

func newUnit(candidates []Candidate, candidate int, members []int, isWhole bool, o Options) unit {
	c := candidates[candidate]
	u := unit{candidate: candidate, pods: members, whole: isWhole, priority: c.Priority}
	u.price[surplus] = shares
	if isWhole && !c.Surplus {
		u.price[whole], u.price[surplus] = shares, 0
	}
	u.price[pods] = int64(len(members))
	for _, p := range members {
		pod := &c.Pods[p]
		u.price[lost] += min(max(0, pod.Lost), maxLost)
		u.free(pod)
		for _, b := range pod.Budgets {
			i := slices.IndexFunc(u.budgets, func(have use) bool { return have.budget == b })
			if i < 0 {
				i = len(u.budgets)
				u.budgets = append(u.budgets, use{budget: b})
			}
			u.budgets[i].pods++
		}
	}
	slices.SortFunc(u.parts, func(a, b part) int { return a.node - b.node })
	for _, b := range u.budgets {
		u.price[violations] += int64(max(0, b.pods-max(0, o.Budgets[b.budget])))
	}
	return u
}

// free adds what a pod holds to what the unit frees on its node.
func (u *unit) free(pod *Pod) {
	i := slices.IndexFunc(u.parts, func(have part) bool { return have.node == pod.Node })
	if i < 0 {
		u.parts = append(u.parts, part{node: pod.Node, freed: pod.Requests.Clone()})
		return
	}
	u.parts[i].freed = u.parts[i].freed.Add(pod.Requests)
}
