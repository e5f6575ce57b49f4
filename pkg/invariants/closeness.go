package invariants

import (
	"maps"
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/topology"
)

// judgeTopology is S9 at a bind: all live members that are bound share the domain that
// the gang requires. A node that was labelled anew while they run is not their fault,
// and what changed within the staleness could not be known.
func (c *Checker) judgeTopology(p *podState) {
	g := c.world.gangs[p.gang()]
	if p.Group == "" || g.group == nil || g.group.Required == "" || c.recent(g.changed) || c.recent(p.joined) {
		return
	}
	level, n := g.group.Required, c.world.nodes[p.Node]
	if n == nil || c.relabelled(n) {
		return // the first is S3's concern
	}
	here, known := c.domain(p.Node, level)
	if !known {
		c.broken("S9", []string{g.object(), p.object()}, []Event{g.event, n.event, p.bind},
			"podgroup %s requires one %s, and pod %s was bound to node %s, which is in none", g.key, level, p, p.Node)
		return
	}
	for _, uid := range sortedKeys(g.pods) {
		other := g.pods[uid]
		theirs := c.world.nodes[other.Node]
		if other == p || !other.live() || theirs == nil || !c.ours(other, other.bind.By) || c.recent(other.joined) || c.relabelled(theirs) {
			continue
		}
		if there, ok := c.domain(other.Node, level); ok && there != here {
			c.broken("S9", []string{g.object(), p.object(), other.object()}, []Event{g.event, n.event, other.bind, p.bind},
				"podgroup %s requires one %s; pod %s was bound to %s in %s, and %s is on %s in %s",
				g.key, level, p, p.Node, here, other, other.Node, there)
			return
		}
	}
}

// recent: news of that time may not have reached everybody yet.
func (c *Checker) recent(at time.Time) bool { return !at.IsZero() && c.now.Sub(at) <= c.opts.Staleness }

func (c *Checker) relabelled(n *nodeState) bool {
	return slices.ContainsFunc(n.before, func(past pastNode) bool { return c.recent(past.until) && !maps.Equal(past.Labels, n.Labels) })
}

// domain is the path of the domain of a level that a node is in.
func (c *Checker) domain(node, level string) (path string, known bool) {
	n := c.world.nodes[node]
	if n == nil {
		return "", false
	}
	tree := topology.Build(c.levels(), []cluster.Node{{Name: n.Name, Labels: n.Labels}})
	wanted, ok := tree.LevelOf(level)
	if !ok {
		return "", false
	}
	d := tree.Ancestor(tree.Leaf(0), wanted)
	return tree.Domains[d].Path, tree.Domains[d].Known
}

// levels are those that were given, or else those that the scheduler would find, as
// far as some node is labelled by them.
func (c *Checker) levels() []topology.Level {
	nodes := make([]cluster.Node, 0, len(c.world.nodes))
	for _, n := range c.world.nodes {
		nodes = append(nodes, cluster.Node{Name: n.Name, Labels: n.Labels})
	}
	levels := c.opts.Levels
	if len(levels) == 0 {
		levels, _ = topology.Discover(nodes)
	}
	return topology.InUse(levels, nodes)
}
