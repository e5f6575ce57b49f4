package core

import (
	"slices"
	"sync"
	"time"

	"lockstep.dev/lockstep/pkg/quota"
)

// rights are how much a gang may take from each of those who hold something, by their places
// among the holders. Without queues there are no holders.
type rights struct {
	places    map[string]int         // by ID
	reclaims  []quota.Portion        // of what its queue is guaranteed
	preempts  func() []quota.Portion // by its importance, of those who yield to it
	overdrawn []int                  // those who have borrowed more than their queue's fair share, ascending
}

// entitle finds out what the gang may take.
func (f *contest) entitle() {
	c, g, s := f.core, f.gang, &f.core.shares
	if s.usage == nil {
		return
	}
	lacks := c.account(g).lacks
	r := rights{
		places: make(map[string]int, len(s.holders)), reclaims: make([]quota.Portion, len(s.holders)),
		preempts: sync.OnceValue(func() []quota.Portion { return s.usage.Preemptible(g.spec.Queue, lacks, c.waiting(g)) }),
	}
	for i := range s.holders {
		r.places[s.holders[i].ID] = i
	}
	if !g.patient() {
		r.reclaims = s.usage.Reclaimable(g.spec.Queue, lacks)
	}
	f.rights = r
	if from := c.sharesFrom(g); !from.IsZero() && !f.now.Before(from) || f.due >= SharesDue && c.shared(g) {
		f.rights.overdrawn = f.overdrawn()
	}
}

// sharesFrom is from when on shares may be taken back for a gang that waits; zero for never.
func (c *Core) sharesFrom(g *group) time.Time {
	if c.opts.ReclaimAfter <= 0 || !c.shared(g) {
		return time.Time{}
	}
	return g.waitsFrom().Add(c.opts.ReclaimAfter)
}

// shared reports whether shares may be taken back for a gang at all.
func (c *Core) shared(g *group) bool {
	return c.shares.usage != nil && g.spec.Queue != "" && !g.patient()
}

// overdrawn are the places of the holders from whom the gang could take its share, beside what
// goes for its importance of those who yield to it.
func (f *contest) overdrawn() []int {
	c, g, goes := f.core, f.gang, slices.Clone(f.rights.preempts())
	for i, h := range c.shares.holders {
		if !f.yields(Claim{Priority: h.Priority, Revocable: h.Revocable}) {
			goes[i] = quota.Nothing
		}
	}
	return c.shares.usage.Overdrawn(g.spec.Queue, c.most(g.lacking(), f.view), g.priority(), g.spec.Revocable, goes)
}

// share says when others may have to go for the share of the gang's queue.
func (f *contest) share() (said string, done bool) {
	from := f.core.sharesFrom(f.gang)
	if !from.After(f.now) || len(f.overdrawn()) == 0 {
		return "", false
	}
	return "others may be evicted for it that have borrowed more than its queue, if it still waits at " + moment(from), false
}

// of says how much may be taken from somebody, who yields to the gang or does not;
// reclaimed: also if it does not.
func (r rights) of(id string, yields bool) (part quota.Portion, reclaimed bool) {
	place, holds := r.places[id]
	switch {
	case !holds && yields:
		return quota.Whole, false
	case !holds:
		return quota.Nothing, false
	}
	if part = r.reclaims[place]; r.owes(place) {
		part = quota.Whole
	}
	if reclaimed = part > quota.Nothing; yields {
		part = max(part, r.preempts()[place])
	}
	return part, reclaimed
}

func (r rights) owes(place int) bool {
	_, owes := slices.BinarySearch(r.overdrawn, place)
	return owes
}

// balances reports whether somebody may go because of what its queue has borrowed alone.
func (r rights) balances(id string) bool {
	place, holds := r.places[id]
	return holds && r.owes(place) && r.reclaims[place] == quota.Nothing
}

// waiting are the gangs beside one that wait for room, with what their floors lack.
func (c *Core) waiting(but *group) []quota.Holder {
	list := make([]quota.Holder, 0, len(c.order))
	for _, g := range c.order {
		if g != but && g.spec.Queue != "" && c.account(g).waits {
			list = append(list, quota.Holder{ID: g.id, Queue: g.spec.Queue, Floor: c.account(g).lacks})
		}
	}
	return list
}
