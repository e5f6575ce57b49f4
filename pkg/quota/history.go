package quota

import (
	"math/bits"
	"time"
)

// History is what queues have borrowed of late: a mean of their shares over the past in
// which what is one half-life ago counts half as much. It is a plain value, to be
// stored and read back. The zero History knows of nothing.
type History struct {
	// At is the time up to which it has taken in what was borrowed.
	At time.Time
	// Mean share by queue, in parts of the cluster (1<<40 is all of it).
	Mean map[string]int64
}

// DefaultHalfLife is after how long half of what was borrowed is forgiven.
const DefaultHalfLife = 24 * time.Hour

// Share is what a queue has borrowed of late.
func (h History) Share(queue string) int64 { return h.Mean[queue] }

// Advance takes in that queues have had the given shares since h.At. Time that goes
// backward takes in nothing. h itself stays as it is.
func (h History) Advance(now time.Time, shares map[string]int64, halfLife time.Duration) History {
	if h.At.IsZero() {
		return History{At: now, Mean: map[string]int64{}}
	}
	if !now.After(h.At) {
		return h
	}
	next := History{At: now, Mean: map[string]int64{}}
	kept := remaining(now.Sub(h.At), halfLife)
	mix := func(queue string) {
		before, since := h.Mean[queue], min(max(0, shares[queue]), one)
		if mean := scale(before, kept) + since - scale(since, kept); mean > 0 {
			next.Mean[queue] = mean
		}
	}
	for queue := range h.Mean {
		mix(queue)
	}
	for queue := range shares {
		mix(queue)
	}
	return next
}

// scale multiplies by a fraction of 1<<32.
func scale(share int64, fraction uint64) int64 {
	hi, lo := bits.Mul64(uint64(share), fraction)
	return int64(hi<<32 | lo>>32)
}

// halves are 2 to the power of -1/2, -1/4, … -1/65536, in parts of 1<<32.
var halves = [16]uint64{
	3037000500, 3611622603, 3938502376, 4112874773, 4202935003, 4248701965, 4271771996, 4283353945,
	4289156690, 4292061010, 4293513907, 4294240540, 4294603903, 4294785595, 4294876445, 4294921870,
}

// remaining is 2 to the power of -d/halfLife, in parts of 1<<32.
func remaining(d, halfLife time.Duration) uint64 {
	if halfLife <= 0 {
		return 0
	}
	whole := d / halfLife
	if whole >= 32 {
		return 0
	}
	left := uint64(1) << 32
	hi, lo := bits.Mul64(uint64(d%halfLife), 1<<16)
	rest, _ := bits.Div64(hi, lo, uint64(halfLife)) // in parts of 1<<16
	for i, half := range halves {
		if rest&(1<<(15-i)) != 0 {
			left = left * half >> 32
		}
	}
	return left >> whole
}

const billion = 1_000_000_000

// Billionths is what a queue has borrowed of late, in billionths of the cluster: how it
// is written down.
func (h History) Billionths(queue string) int64 {
	hi, lo := bits.Mul64(uint64(min(max(0, h.Mean[queue]), one)), billion)
	return int64(hi<<24 | lo>>40)
}

// Remembered is the history that was written down in billionths.
func Remembered(at time.Time, billionths map[string]int64) History {
	h := History{At: at, Mean: map[string]int64{}}
	for queue, share := range billionths {
		h.Mean[queue] = ratio(min(max(0, share), billion), billion)
	}
	return h
}
