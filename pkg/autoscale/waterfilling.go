package autoscale

import (
	"cmp"
	"slices"
	"time"
)

// DefaultCooldown is the time that a job keeps a size at least.
const DefaultCooldown = 10 * time.Minute

// worthwhile is how many times its cost a resize has to gain.
const worthwhile = 2

// lent is for how long surplus is counted on.
const lent = 30 * time.Minute

// WaterFilling is the recommender that Lockstep uses. The zero value is ready.
type WaterFilling struct {
	// Power shapes the utility of a speed-up s: s^Power/Power, ln s for 0. 1 gives the
	// most work done in sum, 0 is proportionally fair, -1 helps slow jobs most.
	Power float64
	// Cooldown is for jobs that have none of their own; 0: DefaultCooldown.
	Cooldown time.Duration
	// Revocable lets jobs grow into what is idle also while gangs wait that do not
	// fit even if all surplus is given back. It is taken back when one of them does.
	Revocable bool
}

// Recommend decides on the size of every job.
func (w WaterFilling) Recommend(s Situation) []Decision {
	r := &round{WaterFilling: w, room: s.Room}
	for i := range s.Jobs {
		r.order = append(r.order, i)
	}
	slices.SortFunc(r.order, func(a, b int) int { return cmp.Compare(s.Jobs[a].Name, s.Jobs[b].Name) })
	for k, i := range r.order {
		v := newVessel(&s.Jobs[i], k, w.Power)
		r.vessels = append(r.vessels, v)
		r.place = append(r.place, v.home)
	}
	r.giveWay(s.Pending)
	if r.unmet != "" && !w.Revocable {
		r.hold()
	}
	r.grow()
	decisions := r.explain()
	r.room.Reset()
	return decisions
}

// hold keeps what is idle for gangs that wait: jobs come to have what was asked for, and
// no more. They had their turn before these gangs, and started with less to start earlier.
func (r *round) hold() {
	for _, v := range r.vessels {
		if v.most = v.home; v.Asked > v.Current {
			v.most = min(max(v.home, v.asked()), len(v.sizes)-1)
		}
	}
}

// round is one call of Recommend.
type round struct {
	WaterFilling
	room    Room
	order   []int     // of the jobs by name, so that it does not matter how they came
	vessels []*vessel // by name
	// place is the size that each job is to have, by its place in the vessel's sizes.
	place  []int
	victim map[int]string // jobs that give way, and the gang for which
	served []string       // gangs that fit, or will when these jobs have given way
	missed []string       // gangs that do not
	unmet  string         // the first of them
	took   bool           // room moves from job to job
	moves  bool           // some job becomes smaller for that
}

// begin brings the room to the state in which jobs have given way and the gangs
// that wait have theirs; it says whether all of them fit.
func (r *round) begin() bool {
	r.room.Reset()
	for i, v := range r.vessels {
		v.at, v.top = r.place[i], v.most
		r.resize(v, v.home, v.at)
	}
	fit := true
	for _, gang := range r.served {
		fit = r.room.Start(gang) && fit
	}
	return fit
}

// resize tells the room of a smaller size.
func (r *round) resize(v *vessel, from, to int) {
	if to < from {
		r.room.Shrink(v.Name, v.sizes[from]-v.sizes[to])
	}
}

// settled are the jobs that have had their size for long enough to change it, by their place.
func (r *round) settled() []int {
	return r.which(func(v *vessel) bool { return v.Settled >= r.cooldown(v.Job) })
}

// free are these and such as have not changed their size yet: they may grow.
func (r *round) free() []int { return r.which(r.may) }

func (r *round) may(v *vessel) bool { return v.Unchanged || v.Settled >= r.cooldown(v.Job) }

// which lists jobs that give way to nobody.
func (r *round) which(is func(*vessel) bool) []int {
	var list []int
	for i, v := range r.vessels {
		if _, gives := r.victim[i]; !gives && is(v) {
			list = append(list, i)
		}
	}
	return list
}

func (r *round) cooldown(j *Job) time.Duration {
	return cmp.Or(j.Cooldown, r.Cooldown, DefaultCooldown)
}

// grow hands out what is idle, or, if that is worth more with all restarts
// counted, brings the jobs to the sizes that would be best from scratch.
func (r *round) grow() {
	base := slices.Clone(r.place)
	idle := r.intoIdle(base)
	moved := r.fromScratch(base)
	r.took = r.benefit(base, moved) > r.benefit(base, idle)
	if r.place = idle; r.took {
		r.place, r.moves = moved, moves(base, moved)
	}
}

// intoIdle lets jobs grow into what is free.
func (r *round) intoIdle(base []int) []int {
	r.begin()
	free := r.free()
	fill(r.vessels, free, r.room)
	places := slices.Clone(base)
	for _, i := range free {
		places[i] = r.vessels[i].at
	}
	return places
}

// fromScratch finds the sizes that are best when every job begins at its floor, and
// then looks how far jobs get there from their present sizes: those that shrink
// first, as nobody changes places with anybody.
func (r *round) fromScratch(base []int) []int {
	r.begin()
	free := r.free()
	for _, i := range free {
		v := r.vessels[i]
		v.at = v.keeps
		r.resize(v, base[i], v.at)
	}
	fill(r.vessels, free, r.room)
	places := slices.Clone(base)
	for _, i := range free {
		places[i] = r.vessels[i].at
	}
	r.begin()
	for _, i := range free {
		r.resize(r.vessels[i], base[i], places[i])
	}
	for _, i := range free {
		for v := r.vessels[i]; places[i] > base[i]; places[i]-- {
			if r.room.Grow(v.Name, v.sizes[places[i]]-v.sizes[base[i]]) {
				break
			}
		}
	}
	return places
}

// benefit is the weighted profit of all changes. Where room moves from job to job all of
// them are made now, else each when it costs least.
func (r *round) benefit(base, places []int) float64 {
	sum, now := 0.0, moves(base, places)
	for i, v := range r.vessels {
		if places[i] == base[i] {
			continue
		}
		gain := v.gain(places[i])
		cost := v.cost(gain)
		if now {
			cost = v.costNow()
		}
		sum += v.weight() * v.profit(gain, cost)
	}
	return sum
}

// moves reports whether some job becomes smaller.
func moves(base, places []int) bool {
	for i := range places {
		if places[i] < base[i] {
			return true
		}
	}
	return false
}
