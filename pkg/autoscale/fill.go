package autoscale

import (
	"container/heap"
	"math"
	"slices"
	"time"
)

// vessel is a job that room is handed out to.
type vessel struct {
	*Job
	index int       // place among the vessels
	sizes []int     // that it may come to have, ascending
	speed []float64 // speed-up, by place in sizes
	worth []float64 // utility, by place in sizes
	home  int       // place of the present size
	keeps int       // place of the smallest size that it goes to by its surplus
	low   int       // place of the smallest size that it goes to for the gang in question
	most  int       // place of the largest size that it may come to have now
	at    int       // place of the size it has been given
	top   int       // the highest place that it may still get
	// unworthy is a larger size that does not pay for the restart; 0: none.
	unworthy int
}

// newVessel leaves sizes out to which the job may not grow because that does not pay.
func newVessel(j *Job, index int, power float64) *vessel {
	v := &vessel{Job: j, index: index}
	one, now := j.Speed(1), j.Speed(j.Current)
	for _, n := range j.sizes() {
		speed := j.Speed(n)
		if n > j.Current && !j.pays(n, speed/now-1) {
			if speed > now {
				v.unworthy = n
			}
			continue
		}
		v.sizes, v.speed = append(v.sizes, n), append(v.speed, speed/one)
		v.worth = append(v.worth, j.weight()*utility(speed/one, power))
	}
	v.home, _ = slices.BinarySearch(v.sizes, j.Current)
	v.keeps = min(v.asked(), v.home)
	v.most = len(v.sizes) - 1
	v.at, v.top = v.home, v.most
	return v
}

// asked is the place of the size that was asked for: the largest allowed one up to it,
// and no less than the floor.
func (v *vessel) asked() int {
	floor, _ := slices.BinarySearch(v.sizes, v.Min)
	above, _ := slices.BinarySearch(v.sizes, v.Asked+1)
	return max(floor, above-1)
}

// share is the place of the smallest size that is no less of what the job asked for than one
// number is of another, and no less than the floor.
func (v *vessel) share(part, whole int) int {
	at, _ := slices.BinarySearch(v.sizes, max(v.Min, (v.Asked*part+whole-1)/whole))
	return at
}

// pays reports whether growing to a size, by a share of speed, is worth the restart.
func (j *Job) pays(size int, gain float64) bool {
	return gain*j.counted(size).Seconds() > worthwhile*j.cost(gain).Seconds()
}

// counted is for how long the job is expected to have a larger size: while it runs, and
// surplus, which is given back to whoever needs the room, for a while at most.
func (j *Job) counted(size int) time.Duration {
	if size > max(j.Min, j.Asked) {
		return min(lent, j.remaining())
	}
	return j.remaining()
}

// profit of a change that makes the job faster by a share, in seconds of work at the
// present speed: what it gains over the time that it is expected to run, less what
// a restart of that cost has to be worth.
func (j *Job) profit(gain float64, cost time.Duration) float64 {
	return gain*j.remaining().Seconds() - worthwhile*cost.Seconds()
}

// utility of a speed-up. Power 1 adds speed-ups up, 0 their logarithms, and below 0
// the slow ones count the more.
func utility(speed, power float64) float64 {
	if power == 0 {
		return math.Log(speed)
	}
	return math.Pow(speed, power) / power
}

func (v *vessel) size() int { return v.sizes[v.at] }

// gain is how much faster the job runs at a place than at its present size, as a share.
func (v *vessel) gain(place int) float64 { return v.speed[place]/v.speed[v.home] - 1 }

// step is a way from one corner of a job's hull to the next.
type step struct {
	vessel   int
	from, to int     // places in its sizes
	rise     float64 // of utility per GPU
}

// next is the first edge of the upper concave hull from where the vessel stands; ok
// is false where nothing within reach is of more worth.
func (v *vessel) next() (s step, ok bool) {
	for to := v.at + 1; to <= v.top; to++ {
		rise := (v.worth[to] - v.worth[v.at]) / float64((v.sizes[to]-v.size())*v.unit())
		if rise > 0 && (!ok || rise > s.rise) {
			s, ok = step{v.index, v.at, to, rise}, true
		}
	}
	return s, ok
}

// steps is a heap, the best first.
type steps []step

func (s steps) Len() int { return len(s) }
func (s steps) Less(i, j int) bool {
	return s[i].rise > s[j].rise || s[i].rise == s[j].rise && s[i].vessel < s[j].vessel
}
func (s steps) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *steps) Push(x any)   { *s = append(*s, x.(step)) }
func (s *steps) Pop() any {
	last := len(*s) - 1
	x := (*s)[last]
	*s = (*s)[:last]
	return x
}

// filling is room being handed out.
type filling struct {
	vessels []*vessel // all of them, by index
	room    Room
	taken   []step
	refused []step // because there was no room
}

// fill hands out room to some of the vessels, the best step first, until no step
// finds any.
func fill(all []*vessel, some []int, room Room) {
	f := &filling{vessels: all, room: room}
	queue := make(steps, 0, len(some))
	for _, i := range some {
		if s, ok := all[i].next(); ok {
			queue = append(queue, s)
		}
	}
	heap.Init(&queue)
	for len(queue) > 0 {
		s := queue[0]
		v := all[s.vessel]
		if !f.take(s) {
			f.refused = append(f.refused, s)
			v.top = s.to - 1
		}
		if next, ok := v.next(); ok {
			queue[0] = next
			heap.Fix(&queue, 0)
		} else {
			heap.Pop(&queue)
		}
	}
	f.exchange()
}

// take goes a step if there is room for it.
func (f *filling) take(s step) bool {
	v := f.vessels[s.vessel]
	if !f.room.Grow(v.Name, v.sizes[s.to]-v.sizes[s.from]) {
		return false
	}
	v.at = s.to
	f.taken = append(f.taken, s)
	return true
}

// exchange mends what is lost at kinks: a long step was refused, and shorter ones of
// less worth were taken after it. It is taken in their place if that is worth more.
func (f *filling) exchange() {
	for _, s := range f.refused {
		if s.to > f.vessels[s.vessel].at {
			f.instead(s)
		}
	}
}

// instead takes steps back, the last first, until the refused one finds room or as much
// would be lost by it as gained; whatever still fits is then taken again.
func (f *filling) instead(refused step) {
	v := f.vessels[refused.vessel]
	lost := 0.0
	var back []step
	for len(f.taken) > 0 {
		s := f.taken[len(f.taken)-1]
		lost += f.vessels[s.vessel].rise(s)
		instead := step{vessel: refused.vessel, from: v.at, to: refused.to}
		if s.vessel == refused.vessel {
			instead.from = s.from
		}
		if lost >= v.rise(instead) {
			break
		}
		f.untake()
		if back = append(back, s); f.take(instead) {
			break
		}
	}
	for _, s := range slices.Backward(back) {
		if f.vessels[s.vessel].at == s.from {
			f.take(s)
		}
	}
}

// untake goes the last step back.
func (f *filling) untake() {
	s := f.taken[len(f.taken)-1]
	f.taken = f.taken[:len(f.taken)-1]
	v := f.vessels[s.vessel]
	v.at = s.from
	f.room.Shrink(v.Name, v.sizes[s.to]-v.sizes[s.from])
}

// rise of the utility by a step.
func (v *vessel) rise(s step) float64 { return v.worth[s.to] - v.worth[s.from] }
