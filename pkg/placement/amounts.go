package placement

import (
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// vast is what an absurdly large amount counts as, so that sums over nodes stay
// far from the limit.
const vast = 1 << 44

// amounts is what is free in each domain, by resource; amounts below zero count
// as nothing.
type amounts struct {
	in    [][]int64 // by resource, then domain
	vasts []int     // by resource: nodes on which vast stands for more
}

// add adds (sign 1) or takes away (-1) what is free on a node.
func (a *amounts) add(tree *topology.Tree, leaf int, free cluster.Resources, sign int64) {
	for resource, amount := range free {
		if resource == len(a.in) {
			a.in, a.vasts = append(a.in, make([]int64, len(tree.Domains))), append(a.vasts, 0)
		}
		if amount <= 0 {
			continue
		}
		if amount > vast {
			a.vasts[resource] += int(sign)
			amount = vast
		}
		sums := a.in[resource]
		for d := leaf; d >= 0; d = tree.Domains[d].Parent {
			sums[d] += sign * amount
		}
	}
}

// of is what is free of a resource in a domain.
func (a *amounts) of(resource, d int) int64 {
	if resource < len(a.in) {
		return a.in[resource][d]
	}
	return 0
}

// cover reports whether a domain has as much free as is asked for, node borders apart.
func (a *amounts) cover(asked cluster.Resources, d int) bool {
	for resource, amount := range asked {
		if amount > a.of(resource, d) && !(resource < len(a.vasts) && a.vasts[resource] > 0) {
			return false
		}
	}
	return true
}
