package autoscale

import (
	"fmt"
	"time"
)

// explain says for every job what is to be done, and why.
func (r *round) explain() []Decision {
	decisions := make([]Decision, len(r.vessels))
	r.begin() // what there is to grow into, before anybody does
	for i, v := range r.vessels {
		d := Decision{Job: v.Name, Current: v.Current, Target: v.sizes[r.place[i]]}
		d.Verdict, d.Reason = r.reason(i, v, d.Target)
		if d.Verdict == Awaiting {
			d.Target = v.Current
		}
		decisions[r.order[i]] = d
	}
	return decisions
}

func (r *round) reason(i int, v *vessel, target int) (Verdict, string) {
	freed := "these " + count((v.Current-target)*v.unit(), v.GPUs)
	if (v.Current-target)*v.unit() == 1 {
		freed = "this " + count(1, v.GPUs)
	}
	stays := fmt.Sprintf("stays at %s: ", workers(v.Current))
	switch {
	case r.victim[i] != "":
		reason := fmt.Sprintf("shrinks from %d to %s: gang %s waits and can start with %s", v.Current, workers(target), r.victim[i], freed)
		if target < v.Asked {
			reason += ", with as small a part of what it asked for"
		}
		return GiveWay, reason
	case target < v.Current:
		return Rebalance, fmt.Sprintf("shrinks from %d to %s, %s slower: %s can make other jobs faster by more",
			v.Current, workers(target), percent(-v.gain(r.place[i])), freed)
	case target > v.Current && !r.moves && v.awaits(v.gain(r.place[i])):
		return Awaiting, stays + fmt.Sprintf("it grows to %d right after its next checkpoint, as %s of work would be lost now; it writes one every %s",
			target, span(v.Checkpoint.Age), span(v.Checkpoint.Every))
	case target > v.Current:
		more := (target - v.Current) * v.unit()
		source := fmt.Sprintf("the %s for that are idle", count(more, v.GPUs))
		switch {
		case v.GPUs == 0:
			source = "the room for that is idle"
		case more == 1:
			source = "the GPU for that is idle"
		}
		if r.took {
			source += " or of less use to other jobs"
		}
		size := workers(target)
		if target == v.Asked {
			size += ", which were asked for"
		}
		return Grow, fmt.Sprintf("grows from %d to %s, %s faster: %s, and %s at that size are counted on for a restart of %s",
			v.Current, size, percent(v.gain(r.place[i])), source,
			span(v.counted(target)), span(v.costNow()))
	case !v.wants() && v.unworthy == 0:
		if sizes := v.Job.sizes(); sizes[len(sizes)-1] == v.Current {
			return Enough, stays + "more are not allowed"
		}
		return Enough, stays + "more would not make it faster"
	case v.most == v.home && r.unmet != "":
		return Reserved, stays + fmt.Sprintf("gang %s waits, and what is idle is for it", r.unmet)
	case !r.may(v):
		// What is written once and read later names no age: it would be that of the writing.
		return Settling, stays + fmt.Sprintf("it came to this size less than %s ago, and changes at most once in that time", span(r.cooldown(v.Job)))
	case !v.wants():
		gain := v.Speed(v.unworthy)/v.Speed(v.Current) - 1
		return Unworthy, stays + fmt.Sprintf("%s would make it %s faster, which in the %s that are counted on gains less than twice the %s of a restart",
			workers(v.unworthy), percent(gain), span(v.counted(v.unworthy)), span(v.cost(gain)))
	}
	if r.hasRoom(v) {
		return NoRoom, stays + "the room for more is worth more to other jobs"
	}
	return NoRoom, stays + "there is no room for more"
}

// hasRoom reports whether the job could have the next size that it wants, if it alone grew.
func (r *round) hasRoom(v *vessel) bool {
	next := v.home + 1
	for v.worth[next] <= v.worth[v.home] {
		next++
	}
	more := v.sizes[next] - v.Current
	if !r.room.Grow(v.Name, more) {
		return false
	}
	r.room.Shrink(v.Name, more)
	return true
}

// wants reports whether some larger size would be of more worth.
func (v *vessel) wants() bool {
	for _, worth := range v.worth[v.home+1:] {
		if worth > v.worth[v.home] {
			return true
		}
	}
	return false
}

func workers(n int) string {
	if n == 1 {
		return "1 Worker"
	}
	return fmt.Sprintf("%d Workers", n)
}

// count names an amount of room: GPUs, or Workers of a job that uses none.
func count(n, gpusPerWorker int) string {
	switch {
	case gpusPerWorker == 0:
		return workers(n)
	case n == 1:
		return "1 GPU"
	}
	return fmt.Sprintf("%d GPUs", n)
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

func span(d time.Duration) string { return d.Round(time.Second).String() }
