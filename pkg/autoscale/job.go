package autoscale

import (
	"slices"
	"time"
)

// Job is an elastic job that runs. Sizes are numbers of Workers.
type Job struct {
	// Name is unique; of jobs that gain the same the first by name comes first.
	Name string
	// Min and Max bound the size; Min is the floor that is never given back.
	Min, Max int
	Current  int
	// Asked is the size that the job's owner asked for; 0: its floor. What the job has of
	// it is given back only to the gang of another elastic job, and what it lacks it may take
	// also while gangs wait for more than there is.
	Asked int
	// Priority is that of its Workers.
	Priority int32
	// Sizes are the allowed ones, ascending; empty: all. Step: sizes are multiples
	// of it; 0: any. A job may keep a size that is not allowed.
	Sizes []int
	Step  int
	// GPUs of one Worker, and of one node: where the default curve has its step. 0
	// for NodeGPUs: every Worker has a node of its own.
	GPUs, NodeGPUs int
	// Samples are measured speeds, in any unit; without any the default curve is used.
	Samples []Sample
	// Weight of the job's utility; 0 counts as 1.
	Weight float64
	// Age is for how long the job has run, Settled for how long it has had its
	// present size. Remaining is how much longer it will run; 0: not known, then as
	// long as it has run already is expected (true to the mean for run times with a
	// heavy tail).
	Age, Settled, Remaining time.Duration
	// Unchanged is that the job still has the size with which it started. It may grow at once then:
	// a cool-down is from one change to the next.
	Unchanged bool
	// Cooldown is how long the job keeps a size before it changes again; 0: the
	// recommender's own.
	Cooldown time.Duration
	// RestartCost is the time that a change of size costs all Workers: until they have met
	// again and, where the job reports no checkpoints, the work since the last as a rule.
	RestartCost time.Duration
	// Checkpoint is the last one that the job has reported; nil: it reports none.
	Checkpoint *Checkpoint
}

// remaining is how much longer the job is expected to run.
func (j *Job) remaining() time.Duration {
	if j.Remaining > 0 {
		return j.Remaining
	}
	return j.Age
}

func (j *Job) weight() float64 {
	if j.Weight > 0 {
		return j.Weight
	}
	return 1
}

// unit is what one Worker costs: its GPUs, or one for a job without.
func (j *Job) unit() int { return max(1, j.GPUs) }

// sizes are those that the job may have, ascending; its present one is always there.
func (j *Job) sizes() []int {
	sizes := []int{j.Current}
	allow := func(n int) {
		if n >= max(1, j.Min) && n <= j.Max && (j.Step < 2 || n%j.Step == 0) && n != j.Current {
			sizes = append(sizes, n)
		}
	}
	if len(j.Sizes) > 0 {
		for _, n := range j.Sizes {
			allow(n)
		}
	} else {
		for n := j.Min; n <= j.Max; n++ {
			allow(n)
		}
	}
	slices.Sort(sizes)
	return slices.Compact(sizes)
}

// Situation is what a recommender decides on.
type Situation struct {
	Jobs []Job
	// Pending are the gangs that wait for room and could ever have it, in the order
	// in which they are tried.
	Pending []Pending
	// Room is asked what fits. It is left as it was.
	Room Room
}

// Pending is a gang that waits. The Room knows it by its name.
type Pending struct {
	Name string
	// GPUs are those that it needs to start, and Waited how long it has waited. Jobs
	// give way to it when that is more than what their restarts cost, in GPU time or,
	// at the latest, in time.
	GPUs   int
	Waited time.Duration
	// Floor and Asked are the Workers of an elastic job's gang that it starts with, and
	// that its owner asked for; both 0 for any other gang. Priority is that of its members.
	Floor, Asked int
	Priority     int32
}

// Room is a trial state of the cluster: what is free, changed by what is tried.
type Room interface {
	// Reset takes everything back that was tried.
	Reset()
	// Grow takes room for n more Workers of a job, close to those it has, and says
	// whether there is; if there is not for all of them nothing is taken.
	Grow(job string, n int) bool
	// Shrink frees the room of a job's last n Workers.
	Shrink(job string, n int)
	// Start takes room for a whole gang that waits, and says whether there is.
	Start(gang string) bool
}

// Verdict is the kind of a decision.
type Verdict string

// The verdicts.
const (
	Grow      Verdict = "Grow"      // more Workers
	GiveWay   Verdict = "GiveWay"   // fewer, so that a gang that waits can start
	Rebalance Verdict = "Rebalance" // fewer, because the room is worth more to other jobs
	Awaiting  Verdict = "Awaiting"  // stays until its next checkpoint: growing then costs less
	Settling  Verdict = "Settling"  // stays: its size was changed a short while ago
	Reserved  Verdict = "Reserved"  // stays: a gang waits, and what is idle is for it
	Unworthy  Verdict = "Unworthy"  // stays: growing gains less than the restart costs
	NoRoom    Verdict = "NoRoom"    // stays: there is no room for more, or others gain more by it
	Enough    Verdict = "Enough"    // stays: more Workers are not allowed, or not faster
)

// Decision is the size that a job should have.
type Decision struct {
	Job     string
	Current int
	Target  int
	Verdict Verdict
	// Reason is a sentence for people, with the numbers.
	Reason string
}

// Recommender proposes sizes: one decision per job, in the order of the jobs.
type Recommender interface {
	Recommend(Situation) []Decision
}
