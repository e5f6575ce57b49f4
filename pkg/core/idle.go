package core

import (
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/quota"
)

// idleness is what room that is drained has cost of late: the share of the cluster that
// lay idle because it was kept for somebody, as a mean over a past that counts half as
// much after each half-life.
type idleness struct {
	late  quota.History
	share int64 // that lies idle since late.At, in parts of 1<<40
	spent bool  // too much has, and not enough of it is forgiven
}

const (
	idleHalfLife = 12 * time.Hour
	// mostIdlePercent of the cluster may lie idle for reservations. Above it they are
	// given back, and none is made before it is half of that.
	mostIdlePercent = 5
	mostIdle        = mostIdlePercent * (1 << 40) / 100
	kept            = "kept" // the one name in the history
)

// idles takes in what lies idle now in the room that is drained; without a view that
// stays as it was, or ends with the reservation.
func (c *Core) idles(now time.Time, view *View) {
	i, g := &c.idle, c.drainer()
	if g == nil && i.share == 0 && len(i.late.Mean) == 0 {
		return
	}
	i.late = i.late.Advance(now, map[string]int64{kept: i.share}, idleHalfLife)
	late := i.late.Share(kept)
	i.spent = late > mostIdle || i.spent && late > mostIdle/2
	switch {
	case g == nil:
		i.share = 0
	case view != nil:
		i.share = g.reservation.idle(view)
	}
}

// idle is the share of the cluster that is free in reserved room: of the resource that
// most of the room is about, GPUs as a rule.
func (r *reservation) idle(view *View) int64 {
	var of cluster.Resources
	for _, room := range r.Room {
		of = of.Add(room.Amounts)
	}
	resource, free, all := of.Primary(), int64(0), int64(0)
	for _, room := range r.Room {
		if node, ok := view.find(room.Node); ok {
			free += min(max(0, view.Nodes[node].Free.Get(resource)), room.Amounts.Get(resource))
		}
	}
	for n := range view.Nodes {
		all += view.Nodes[n].Allocatable.Get(resource)
	}
	return quota.Part(free, max(1, all))
}
