package core

import (
	"maps"
	"slices"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
)

// Occupant is a pod on a node.
type Occupant struct {
	Pod      gang.Key // its own namespace and name
	UID      string
	Node     int // its place in the view
	Requests cluster.Resources
	Claim
	// Since is when it got its node.
	Since time.Time
	// Leaving pods are on their way out.
	Leaving bool
	// Protected pods are never evicted: they belong to another scheduler.
	Protected bool
	// Firm pods are not given up while their gang goes on: a Master.
	Firm bool
}

// Budgets are the disruption budgets of a cluster.
type Budgets struct {
	Allowed []int            // how many of its pods may go, each
	Of      map[string][]int // by pod UID: places in Allowed of those that count it
}

// tenant is somebody who holds room for a while: a gang, or a pod without one. It is read only.
type tenant struct {
	id  string // tells it from others, as a holder of what queues share
	key gang.Key
	Claim
	since     time.Time
	floor     int
	lone      bool       // a pod without a gang
	pods      []Occupant // in rank order
	protected bool       // it is not evicted now
	stays     bool       // the pods are what it can spare
}

// surplus is what a tenant can spare: the last in rank order, but for those that lead.
func (t *tenant) surplus() *tenant {
	part := *t
	spare := min(len(t.pods), max(0, len(t.pods)-max(1, t.floor)))
	may := slices.DeleteFunc(slices.Clone(t.pods), func(o Occupant) bool { return o.Firm })
	part.pods, part.stays, part.floor = may[max(0, len(may)-spare):], true, 0
	return &part
}

// tenants lists who holds room in a view: gangs by key, then other pods in the order
// of the view; and the pods that are on their way out.
func (c *Core) tenants(now time.Time, view View) (stay []*tenant, leave []Occupant) {
	evicted := c.evicted(now)
	stay = make([]*tenant, 0, len(c.order))
	for _, g := range c.order {
		if counts := g.counts(); counts.Binding+counts.Bound == 0 {
			continue
		}
		t := g.tenant(view)
		if leaves := func(o Occupant) bool { return evicted[o.UID] }; len(evicted) > 0 && slices.ContainsFunc(t.pods, leaves) {
			var remain []Occupant
			for _, o := range t.pods {
				if leaves(o) {
					leave = append(leave, o)
				} else {
					remain = append(remain, o)
				}
			}
			t = g.holding(remain)
		}
		if len(t.pods) > 0 {
			stay = append(stay, t)
		}
	}
	for _, o := range view.Others() {
		if o.Leaving || evicted[o.UID] {
			leave = append(leave, o)
			continue
		}
		stay = append(stay, &tenant{id: o.UID, key: o.Pod, Claim: o.Claim, since: o.Since, floor: 1, lone: true, pods: []Occupant{o}, protected: o.Protected})
	}
	return stay, leave
}

// tenant is a gang as a holder of room, with all members that have a node.
func (g *group) tenant(view View) *tenant {
	if g.tenancy == nil {
		g.tenancy = g.holding(g.occupants(view))
	}
	return g.tenancy
}

// occupants are the members that have a node, in rank order.
func (g *group) occupants(view View) []Occupant {
	var list []Occupant
	for _, m := range g.members {
		node, ok := view.find(m.node)
		if !ok || m.state != gang.Bound && m.state != gang.Binding {
			continue
		}
		list = append(list, Occupant{
			Pod: gang.Key{Namespace: g.key.Namespace, Name: m.Name}, UID: m.UID, Node: node, Requests: m.Requests,
			Claim: Claim{Priority: m.Priority}, Since: m.Started, Firm: m.Leads(), Protected: m.state != gang.Bound,
		})
	}
	return list
}

// holding is a gang as a holder of room, with those of its pods.
func (g *group) holding(pods []Occupant) *tenant {
	t := &tenant{id: g.id, key: g.key, Claim: g.standing(), floor: max(0, g.floor()-len(g.finished)), pods: pods}
	for i, o := range pods {
		if i == 0 || o.Since.Before(t.since) {
			t.since = o.Since
		}
		t.Priority = max(t.Priority, o.Priority) // whoever joins it cannot make it less
		t.protected = t.protected || o.Protected // on its way: it will be there in a moment
	}
	if !g.known {
		t.floor = len(pods) // who does not say what it can spare spares nothing
	}
	return t
}

// evictionTime is how long after an eviction its pods are taken for leaving although
// the API does not say so yet; after that the eviction is thought to have failed.
const evictionTime = 30 * time.Second

// evicted are the UIDs of the pods that were evicted a moment ago.
func (c *Core) evicted(now time.Time) map[string]bool {
	var uids map[string]bool
	for _, g := range c.holders {
		if r := g.reservation; len(r.victims) > 0 && now.Sub(r.Since) < evictionTime {
			if uids == nil {
				uids = map[string]bool{}
			}
			maps.Copy(uids, r.victims)
		}
	}
	return uids
}
