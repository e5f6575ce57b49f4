package invariants

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
)

// judgeCapacity is S2 at a bind: no resource that the pod asks for is given out beyond
// what the node has. What another scheduler has bound there, what pods have grown by
// and what the node has lost within the staleness could not be known.
func (c *Checker) judgeCapacity(p *podState) {
	n := c.world.nodes[p.Node]
	if n == nil || p.Ended() || c.recent(p.resized) {
		return
	}
	used := n.used(func(other *podState) bool {
		unseen := !c.ours(other, other.bind.By) && c.recent(other.boundAt) || c.recent(other.resized)
		return other == p || !unseen
	})
	over := c.over(used, func(i int) int64 {
		most := n.Allocatable.Get(i)
		for _, past := range n.before {
			if c.recent(past.until) {
				most = max(most, past.Allocatable.Get(i))
			}
		}
		return most
	}, p.Requests)
	if over == "" {
		return
	}
	c.broken("S2", []string{p.object(), "node/" + n.Name}, n.evidence(),
		"node %s: %s since %s was bound there", n.Name, over, p)
}

// judgeFull is S2 for the state that was found: the last bind there is Lockstep's.
func (c *Checker) judgeFull(n *nodeState) {
	var last *podState
	for _, uid := range sortedKeys(n.pods) {
		if p := n.pods[uid]; !p.Ended() && (last == nil || p.boundAt.After(last.boundAt)) {
			last = p
		}
	}
	if last == nil || !c.member(last) {
		return
	}
	used := n.used(func(*podState) bool { return true })
	over := c.over(used, n.Allocatable.Get, last.Requests)
	if over == "" {
		return
	}
	c.broken("S2", []string{last.object(), "node/" + n.Name}, n.evidence(),
		"node %s: %s; either it has shrunk or pods there have grown since %s was bound as the last, or that was one too many", n.Name, over, last)
}

// over names the first resource of which more is used than there is; empty if none is.
func (c *Checker) over(used cluster.Resources, have func(i int) int64, asked cluster.Resources) string {
	for i, amount := range asked {
		if amount > 0 && used.Get(i) > have(i) {
			return fmt.Sprintf("%s of %s %s are taken", exactly(i, used.Get(i)), exactly(i, have(i)), c.opts.Vocabulary.Name(i))
		}
	}
	return ""
}

// exactly writes an amount to the last unit: cores, bytes, plain numbers.
func exactly(resource int, n int64) string {
	if resource == cluster.CPU {
		return strconv.FormatFloat(float64(n)/1000, 'f', -1, 64)
	}
	return strconv.FormatInt(n, 10)
}

// evidence is the node and the binds of all that takes room on it.
func (n *nodeState) evidence() []Event {
	list := []Event{n.event}
	for _, p := range n.pods {
		if !p.Ended() {
			list = append(list, p.bind)
		}
	}
	return list
}

// judgeTarget is S3: no bind to a node that is gone, cordoned or not ready for longer
// than the staleness.
func (c *Checker) judgeTarget(p *podState) {
	n := c.world.nodes[p.Node]
	objects := []string{p.object(), "node/" + p.Node}
	if n == nil {
		gone, known := c.world.goneNodes[p.Node]
		switch {
		case known && c.now.Sub(gone.at) > c.opts.Staleness:
			c.broken("S3", objects, []Event{p.bind}, "pod %s was bound to node %s, which had been deleted %s before", p, p.Node, lasted(gone.at, c.now))
		case !known: // its watch may be behind
			c.expect("S3", p.object()+" "+p.UID, c.now, c.opts.Staleness, func(time.Time) (Violation, bool) {
				return Violation{Objects: objects, Evidence: []Event{p.bind}, Sentence: fmt.Sprintf("pod %s was bound to node %s, which does not exist", p, p.Node)},
					c.world.nodes[p.Node] == nil && c.world.goneNodes[p.Node].at.IsZero()
			})
		}
		return
	}
	if p.Tolerant || n.barredAt.IsZero() || c.recent(n.barredAt) {
		return
	}
	why := "cordoned"
	if !n.Cordoned {
		why = "not ready"
	}
	c.broken("S3", objects, []Event{n.event, p.bind}, "pod %s was bound to node %s, which had been %s for %s", p, n.Name, why, lasted(n.barredAt, c.now))
}

// judgeScheduled is S3 for what the scheduler tells: a bind that it reports has taken
// place, on that very pod.
func (c *Checker) judgeScheduled(e Event) {
	n := e.Notice
	if n.Reason != "Scheduled" || n.Kind != "Pod" || !slices.Contains(c.opts.Schedulers, n.Reporter) {
		return
	}
	c.expect("S3", "event "+n.UID, c.now, c.opts.Staleness, func(time.Time) (Violation, bool) {
		v := Violation{Objects: []string{"pod/" + n.Namespace + "/" + n.Name}, Evidence: []Event{e}}
		if p := c.world.pods[n.About]; p != nil {
			v.Evidence = append(v.Evidence, p.event)
			v.Sentence = fmt.Sprintf("the scheduler says that it has bound pod %s/%s (%s), and that pod has no node", n.Namespace, n.Name, n.About)
			return v, p.Node == "" && !p.Ended()
		}
		if c.world.once[n.About] != nil {
			return v, false
		}
		for _, uid := range sortedKeys(c.world.pods) {
			p := c.world.pods[uid]
			if p.Namespace == n.Namespace && p.Name == n.Name && p.Node != "" && !p.bind.Listed {
				v.Evidence = append(v.Evidence, p.bind)
				v.Sentence = fmt.Sprintf("pod %s (%s) was bound to %s by a decision about an earlier pod of that name (%s)", p, p.UID, p.Node, n.About)
				return v, true
			}
		}
		return v, false // it was gone before anybody looked
	})
}
