package placement

import "slices"

// opened is a host that the plan uses and what it can hold, by class.
type opened struct {
	leaf     int
	capacity []int32
}

// spread gives every member one of the opened hosts. Together they can hold the
// gang and maybe more; what is too much is taken where that makes the parts even,
// from the widest level down. In a domain of the slice level whole slices are
// placed. No host is left without members: a placement that needs fewer hosts
// would have been found.
func (v *solver) spread(plan *Plan, d int, hosts []opened) {
	need := make([]int32, len(v.classes))
	for c := range need {
		need[c] = int32(v.classes[c].Count)
	}
	level := v.x.tree.Domains[d].Level
	v.spreadIn(plan, level, hosts, need)
}

// spreadIn places need, by class, on hosts that share one domain of the level.
func (v *solver) spreadIn(plan *Plan, level int, hosts []opened, need []int32) {
	if level == v.x.tree.Hosts() {
		share := Share{Node: v.x.tree.Domains[hosts[0].leaf].Node, Counts: make([]int, len(need))}
		members := 0
		for c, n := range need {
			share.Counts[c] = int(n)
			members += int(n)
		}
		if members > 0 {
			plan.Shares = append(plan.Shares, share)
		}
		return
	}
	parts := v.byDomain(hosts, level+1)
	if len(parts) == 1 {
		v.spreadIn(plan, level+1, parts[0], need)
		return
	}
	caps := make([][]int32, len(need)) // by class, then part; becomes what the part gets
	for c := range need {
		caps[c] = make([]int32, len(parts))
		for i, part := range parts {
			caps[c][i] = v.holds(part, level+1, c)
		}
		unit := int32(1)
		if level+1 <= v.sliceLevel {
			unit = v.slice[c]
		}
		even(caps[c], need[c], unit)
	}
	for i, part := range parts {
		mine := make([]int32, len(need))
		for c := range mine {
			mine[c] = caps[c][i]
		}
		v.spreadIn(plan, level+1, part, mine)
	}
}

// byDomain cuts hosts, which stand depth first, at the borders of a level's domains.
func (v *solver) byDomain(hosts []opened, level int) [][]opened {
	tree := v.x.tree
	if level == tree.Hosts() {
		parts := make([][]opened, len(hosts))
		for i := range hosts {
			parts[i] = hosts[i : i+1]
		}
		return parts
	}
	var parts [][]opened
	for i := 0; i < len(hosts); {
		j := i
		for j < len(hosts) && tree.Ancestor(hosts[j].leaf, level) == tree.Ancestor(hosts[i].leaf, level) {
			j++
		}
		parts = append(parts, hosts[i:j])
		i = j
	}
	return parts
}

// holds is the number of members of a class that hosts in one domain can hold:
// whole slices in and above a domain of the slice level.
func (v *solver) holds(hosts []opened, level, class int) int32 {
	if level < v.sliceLevel {
		var sum int32
		for _, part := range v.byDomain(hosts, v.sliceLevel) {
			sum += v.holds(part, v.sliceLevel, class)
		}
		return sum
	}
	var sum int32
	for i := range hosts {
		sum += hosts[i].capacity[class]
	}
	if level == v.sliceLevel {
		sum -= sum % v.slice[class]
	}
	return sum
}

// even shares need among parts with the given capacities as evenly as they
// allow, in multiples of unit, and writes what each gets in the place of its
// capacity. The capacities, cut down to multiples, suffice.
func even(caps []int32, need, unit int32) {
	order := make([]int, len(caps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(caps[a]) - int(caps[b]) })
	left := need / unit
	for i, part := range order { // the smallest first: what it lacks the others share
		n := min(caps[part]/unit, left/int32(len(order)-i))
		caps[part], left = n*unit, left-n
	}
}
