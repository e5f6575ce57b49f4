package autoscale

import (
	"slices"
	"time"
)

// release is one step down of one job.
type release struct {
	job   int
	from  int     // place in sizes; it goes to the one below
	asked bool    // it takes of what was asked for
	loss  float64 // of utility per GPU
}

// giveWay takes room back for gangs that wait. Those that fit now or will then are
// served; the first of the others is the one that is unmet.
func (r *round) giveWay(pending []Pending) {
	r.victim = map[int]string{}
	r.begin()
	for _, gang := range pending {
		if r.room.Start(gang.Name) || r.makeWay(gang) {
			r.served = append(r.served, gang.Name)
			continue
		}
		r.missed = append(r.missed, gang.Name)
	}
	if len(r.missed) > 0 {
		r.unmet = r.missed[0]
	}
}

// makeWay shrinks jobs for a gang that does not fit: by their surplus, or, where that is
// not enough for the gang of an elastic job, to the share that it starts with itself.
func (r *round) makeWay(gang Pending) bool {
	for _, v := range r.vessels {
		v.low = v.keeps
	}
	if r.fitsAtLows(gang, nil) {
		return r.shrinkFor(gang, nil)
	}
	if gang.Floor >= gang.Asked {
		return false
	}
	for _, i := range r.settled() {
		if v := r.vessels[i]; v.Priority <= gang.Priority {
			v.low = min(v.low, v.share(gang.Floor, gang.Asked))
		}
	}
	return r.fitsAtLows(gang, r.missed) && r.shrinkFor(gang, r.missed)
}

// fits reports whether the gang can start at the places as they are. Those before it in the
// queue would take the room if they could.
func (r *round) fits(gang Pending, before []string) bool {
	return r.begin() && !slices.ContainsFunc(before, r.room.Start) && r.room.Start(gang.Name)
}

// fitsAtLows reports whether the gang could start if every job gave as much as it may have to.
func (r *round) fitsAtLows(gang Pending, before []string) bool {
	places := slices.Clone(r.place)
	for i, v := range r.vessels {
		r.place[i] = min(r.place[i], v.low)
	}
	fits := !slices.Equal(r.place, places) && r.fits(gang, before)
	copy(r.place, places)
	r.begin()
	return fits
}

// shrinkFor shrinks jobs until the gang fits, those that lose the least first, and takes
// back what turns out not to be needed. It changes nothing if the gang is not worth the
// restarts yet.
func (r *round) shrinkFor(gang Pending, before []string) bool {
	places := slices.Clone(r.place)
	var released []release
	for !r.fits(gang, before) {
		s := r.cheapest()
		r.place[s.job]--
		released = append(released, s)
	}
	for _, s := range slices.Backward(released) {
		if r.place[s.job] != s.from-1 {
			continue // a step further down is needed
		}
		r.place[s.job]++
		if !r.fits(gang, before) {
			r.place[s.job]--
		}
	}
	if !r.worth(gang, places) {
		copy(r.place, places)
		r.begin()
		return false
	}
	r.fits(gang, before)
	for i := range r.place {
		if r.place[i] < places[i] {
			r.victim[i] = gang.Name
		}
	}
	return true
}

// patience is how much unsaved work counts at most when a gang waits: it does not wait for
// jobs that seldom write a checkpoint.
const patience = 5 * time.Minute

// worth reports whether the gang has waited for as long as the restarts cost, both in
// GPU time (whoever pays for a switch only when waiting has cost as much never pays
// more than twice what would have been best: the ski rental argument), or for as long
// as the longest restart. Jobs that give way already restart anyway.
func (r *round) worth(gang Pending, before []int) bool {
	cost, longest := 0.0, time.Duration(0)
	for i, v := range r.vessels {
		if _, restarts := r.victim[i]; r.place[i] < before[i] && !restarts {
			restart := v.RestartCost + min(v.unsaved(), patience)
			cost += float64(v.Current*v.unit()) * restart.Seconds()
			longest = max(longest, restart)
		}
	}
	waited := float64(gang.GPUs) * gang.Waited.Seconds()
	return (gang.Waited >= longest || waited >= cost) && r.worthLending(gang, before)
}

// Jobs give of what they asked for when the gang of another has waited for a share of what they
// are expected to lose by it, or for the longest such wait.
const (
	lendingShare    = 0.25
	longestLoanWait = 3 * time.Hour
)

// worthLending reports whether the gang has waited for long enough that jobs give it of what they
// asked for. That makes them slower for as long as they still run, unless something comes free
// for them; so it is weighed like a restart, both in GPU time at the sizes asked for.
func (r *round) worthLending(gang Pending, before []int) bool {
	lost := 0.0
	for i, v := range r.vessels {
		asked := v.asked()
		if from := min(before[i], asked); r.place[i] < from {
			slower := (v.speed[from] - v.speed[r.place[i]]) / v.speed[asked]
			lost += slower * float64(v.Asked*v.unit()) * v.remaining().Seconds()
		}
	}
	if lost == 0 || gang.Waited >= longestLoanWait {
		return true
	}
	floor := max(1, gang.Floor)
	wants := float64(max(gang.GPUs, floor)) * float64(gang.Asked) / float64(floor) // GPUs, or Workers without any
	return wants*gang.Waited.Seconds() >= lendingShare*lost
}

// cheapest is the step down that costs the least utility per GPU, of surplus before what was
// asked for, and the first by name of equal ones. There is one: all of them make room.
func (r *round) cheapest() release {
	best := release{job: -1}
	for i, v := range r.vessels {
		at := r.place[i]
		if at <= v.low {
			continue
		}
		freed := float64((v.sizes[at] - v.sizes[at-1]) * v.unit())
		s := release{i, at, at <= v.keeps, (v.worth[at] - v.worth[at-1]) / freed}
		if best.job < 0 || !s.asked && best.asked || s.asked == best.asked && s.loss < best.loss {
			best = s
		}
	}
	return best
}
