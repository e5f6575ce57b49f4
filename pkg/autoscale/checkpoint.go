package autoscale

import "time"

// Checkpoint is what a job tells of those that it writes.
type Checkpoint struct {
	// Age is the time since the last one was written, or the job went on from it: the work
	// that a restart now would lose.
	Age time.Duration
	// Every is the time between the last two; 0: it is not known yet.
	Every time.Duration
	// Awaited is for how long the job has been told to wait with its growth for the next one.
	Awaited time.Duration
}

// regular reports whether the next one can be counted on. It cannot once two should have come.
func (c *Checkpoint) regular() bool {
	return c != nil && max(c.Age, c.Awaited) < 2*c.Every
}

// unsaved is the work that a restart now would lose, where the job tells of it.
func (j *Job) unsaved() time.Duration {
	if j.Checkpoint == nil {
		return 0
	}
	return j.Checkpoint.Age
}

// costNow is what a restart now costs.
func (j *Job) costNow() time.Duration { return j.RestartCost + j.unsaved() }

// cost is what growing costs that makes the job faster by a share: made now it loses what
// is unsaved, and made at the next checkpoint it comes too late for the gain until then.
func (j *Job) cost(gain float64) time.Duration {
	lost := j.unsaved()
	if j.Checkpoint.regular() {
		until := max(0, j.Checkpoint.Every-j.Checkpoint.Age)
		lost = min(lost, time.Duration(gain*float64(until)))
	}
	return j.RestartCost + max(0, lost)
}

// awaits reports whether growing waits for the next checkpoint, because that costs less. It
// has come when it is no older than the wait.
func (j *Job) awaits(gain float64) bool {
	return j.cost(gain) < j.costNow() && j.Checkpoint.Age > j.Checkpoint.Awaited
}
