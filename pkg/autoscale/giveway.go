package autoscale

import (
	"slices"
	"time"
)

// release is one step down of one job.
type release struct {
	job  int
	from int     // place in sizes; it goes to the one below
	loss float64 // of utility per GPU
}

// giveWay takes surplus back for gangs that wait. Those that fit now or will then
// are served; the first of the others is the one that is unmet.
func (r *round) giveWay(pending []Pending) {
	r.victim = map[int]string{}
	r.begin()
	for _, gang := range pending {
		switch {
		case r.room.Start(gang.Name) || r.makeWay(gang):
			r.served = append(r.served, gang.Name)
		case r.unmet == "":
			r.unmet = gang.Name
		}
	}
}

// makeWay shrinks jobs until the gang fits, those that lose the least first, and
// takes back what turns out not to be needed. It changes nothing if the gang does
// not fit even without any surplus, or is not worth the restarts yet.
func (r *round) makeWay(gang Pending) bool {
	before := slices.Clone(r.place)
	fits := func() bool { return r.begin() && r.room.Start(gang.Name) }
	for i, v := range r.vessels {
		r.place[i] = min(r.place[i], v.keeps)
	}
	possible := !slices.Equal(r.place, before) && fits()
	copy(r.place, before)
	if !possible {
		r.begin()
		return false
	}
	var released []release
	for !fits() {
		s := r.cheapest()
		r.place[s.job]--
		released = append(released, s)
	}
	for _, s := range slices.Backward(released) {
		if r.place[s.job] != s.from-1 {
			continue // a step further down is needed
		}
		r.place[s.job]++
		if !fits() {
			r.place[s.job]--
		}
	}
	if !r.worth(gang, before) {
		copy(r.place, before)
		r.begin()
		return false
	}
	fits()
	for i := range r.place {
		if r.place[i] < before[i] {
			r.victim[i] = gang.Name
		}
	}
	return true
}

// worth reports whether the gang has waited for as long as the restarts cost, both in
// GPU time (whoever pays for a switch only when waiting has cost as much never pays
// more than twice what would have been best: the ski rental argument), or for as long
// as the longest restart. Jobs that give way already restart anyway.
func (r *round) worth(gang Pending, before []int) bool {
	cost, longest := 0.0, time.Duration(0)
	for i, v := range r.vessels {
		if _, restarts := r.victim[i]; r.place[i] < before[i] && !restarts {
			cost += float64(v.Current*v.unit()) * v.RestartCost.Seconds()
			longest = max(longest, v.RestartCost)
		}
	}
	return gang.Waited >= longest || float64(gang.GPUs)*gang.Waited.Seconds() >= cost
}

// cheapest is the step down that costs the least utility per GPU, the first by name
// of equal ones. There is one.
func (r *round) cheapest() release {
	best := release{job: -1}
	for i, v := range r.vessels {
		at := r.place[i]
		if at <= v.keeps {
			continue
		}
		freed := float64((v.sizes[at] - v.sizes[at-1]) * v.unit())
		s := release{i, at, (v.worth[at] - v.worth[at-1]) / freed}
		if best.job < 0 || s.loss < best.loss {
			best = s
		}
	}
	return best
}
