package core

import (
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

// tenant is somebody who holds room for a while: a gang, or a pod without one.
type tenant struct {
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
func (t tenant) surplus() tenant {
	spare := min(len(t.pods), max(0, len(t.pods)-max(1, t.floor)))
	may := slices.DeleteFunc(slices.Clone(t.pods), func(o Occupant) bool { return o.Firm })
	t.pods, t.stays, t.floor = may[max(0, len(may)-spare):], true, 0
	return t
}

// id tells the tenant from others, as a holder of what queues share.
func (t tenant) id() string {
	if t.lone {
		return t.pods[0].UID
	}
	return t.key.String()
}

// tenants lists who holds room in a view: gangs by key, then other pods in the order
// of the view; and the pods that are on their way out.
func (c *Core) tenants(now time.Time, view View) (stay []tenant, leave []Occupant) {
	for _, g := range c.order {
		if counts := g.counts(); counts.Binding+counts.Bound == 0 {
			continue
		}
		t, leaving := c.tenant(now, g, view)
		if leave = append(leave, leaving...); len(t.pods) > 0 {
			stay = append(stay, t)
		}
	}
	for _, o := range view.Others() {
		if o.Leaving || c.evicted(now, o.UID) {
			leave = append(leave, o)
			continue
		}
		stay = append(stay, tenant{key: o.Pod, Claim: o.Claim, since: o.Since, floor: 1, lone: true, pods: []Occupant{o}, protected: o.Protected})
	}
	return stay, leave
}

// tenant is a gang as a holder of room, without the members that are on their way out.
func (c *Core) tenant(now time.Time, g *group, view View) (t tenant, leave []Occupant) {
	t = tenant{key: g.key, Claim: c.claim(g), floor: max(0, g.floor()-len(g.finished))}
	for _, m := range g.members {
		node, ok := view.find(m.node)
		if !ok || m.state != gang.Bound && m.state != gang.Binding {
			continue
		}
		o := Occupant{Pod: gang.Key{Namespace: g.key.Namespace, Name: m.Name}, UID: m.UID, Node: node,
			Requests: m.Requests, Since: m.Started, Firm: m.Leads()}
		if c.evicted(now, m.UID) {
			leave = append(leave, o)
			continue
		}
		if len(t.pods) == 0 || o.Since.Before(t.since) {
			t.since = o.Since
		}
		t.pods = append(t.pods, o)
		t.Priority = max(t.Priority, m.Priority)           // whoever joins it cannot make it less
		t.protected = t.protected || m.state != gang.Bound // on its way: it will be there in a moment
	}
	if !g.known {
		t.floor = len(t.pods) // who does not say what it can spare spares nothing
	}
	return t, leave
}

// evictionTime is how long after an eviction its pods are taken for leaving although
// the API does not say so yet; after that the eviction is thought to have failed.
const evictionTime = 30 * time.Second

// evicted reports whether a pod was evicted a moment ago.
func (c *Core) evicted(now time.Time, uid string) bool {
	for _, g := range c.holders {
		if r := g.reservation; r.victims[uid] && now.Sub(r.Since) < evictionTime {
			return true
		}
	}
	return false
}
