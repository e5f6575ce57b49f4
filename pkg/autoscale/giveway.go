package autoscale

import "slices"

// release is one step down of one job.
type release struct {
	job  int
	from int     // place in sizes; it goes to the one below
	loss float64 // of utility per GPU
}

// giveWay takes surplus back for gangs that wait. Those that fit now or will then
// are served; the first of the others is the one that is unmet.
func (r *round) giveWay(pending []string) {
	r.victim = map[int]string{}
	r.begin()
	for _, gang := range pending {
		switch {
		case r.room.Start(gang) || r.makeWay(gang):
			r.served = append(r.served, gang)
		case r.unmet == "":
			r.unmet = gang
		}
	}
}

// makeWay shrinks jobs until the gang fits, those that lose the least first, and
// takes back what turns out not to be needed. It changes nothing if the gang does
// not fit even without any surplus.
func (r *round) makeWay(gang string) bool {
	for i, v := range r.vessels {
		r.resize(v, r.place[i], v.floor())
	}
	if !r.room.Start(gang) {
		r.begin()
		return false
	}
	before := slices.Clone(r.place)
	var released []release
	for fits := false; !fits; fits = r.begin() && r.room.Start(gang) {
		s := r.cheapest()
		r.place[s.job]--
		released = append(released, s)
	}
	for _, s := range slices.Backward(released) {
		if r.place[s.job] != s.from-1 {
			continue // a step further down is needed
		}
		r.place[s.job]++
		if !r.begin() || !r.room.Start(gang) {
			r.place[s.job]--
		}
	}
	r.begin()
	r.room.Start(gang)
	for i := range r.place {
		if r.place[i] < before[i] {
			r.victim[i] = gang
		}
	}
	return true
}

// cheapest is the step down that costs the least utility per GPU, the first by name
// of equal ones. There is one.
func (r *round) cheapest() release {
	best := release{job: -1}
	for i, v := range r.vessels {
		at := r.place[i]
		if at <= v.floor() {
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
