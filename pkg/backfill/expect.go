package backfill

import (
	"math"
	"time"
)

// leastRest is expected of work that has only just begun.
const leastRest = time.Minute

// Until is when work that began at since is expected to end. declared is how long it
// said to take, zero if it said nothing. Work that takes longer than that is
// expected to take twice as long, again and again: an estimate that has proved
// wrong is no reason to expect its end any moment.
func Until(now, since time.Time, declared time.Duration) time.Time {
	if since.IsZero() {
		since = now // it is on its way there
	}
	age := max(0, now.Sub(since))
	if declared <= 0 {
		return now.Add(max(age, leastRest))
	}
	for declared <= age && declared <= math.MaxInt64/2 {
		declared *= 2
	}
	return since.Add(declared)
}

// Passes reports whether work that starts now and says how long it takes ends before
// the room is needed at start. Work that says nothing never does.
func Passes(now time.Time, declared time.Duration, start time.Time) bool {
	return declared > 0 && !now.Add(declared).After(start)
}
