package advisor

import (
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/autoscale"
)

// told is what is remembered of a job's reports. Speeds are lost with the process; until a
// size is measured again the recommender's default curve stands in. Checkpoints are in the
// job's status as well.
type told struct {
	speeds map[int]float64 // by the number of Workers
	// saved is when the last checkpoint was written, every the time between the last two.
	saved time.Time
	every time.Duration
	// awaits is since when growing waits for the next one; zero: it does not.
	awaits time.Time
	// problem is why the last report could not be read.
	problem string
}

// recall begins with what the job's status has kept.
func recall(job *v1.PyTorchJob) *told {
	t := &told{speeds: map[int]float64{}}
	if p := job.Status.Progress; p != nil && p.Checkpoint != nil {
		t.saved, t.every = p.Checkpoint.Last.Time, time.Duration(p.Checkpoint.EverySeconds)*time.Second
	}
	return t
}

// note takes in a report. resized is when the job got its present size: since then it may
// have gone on from its last checkpoint, which tells nothing of how often it writes one.
func (t *told) note(r report, workers int, now, resized time.Time) {
	if r.speed > 0 {
		t.speeds[workers] = r.speed
	}
	if !r.saves {
		return
	}
	saved := now.Add(-r.unsaved)
	later := saved.Sub(t.saved)
	if later.Abs() <= readTimeout {
		return // the same one: an answer takes its time
	}
	if later > 0 && t.saved.After(resized) {
		t.every = later
	}
	t.saved = saved
}

func (t *told) samples() []autoscale.Sample {
	samples := make([]autoscale.Sample, 0, len(t.speeds))
	for _, size := range slices.Sorted(maps.Keys(t.speeds)) {
		samples = append(samples, autoscale.Sample{Workers: size, Speed: t.speeds[size]})
	}
	return samples
}

// await notes whether growing waits for the next checkpoint.
func (t *told) await(awaits bool, now time.Time) {
	switch {
	case !awaits:
		t.awaits = time.Time{}
	case t.awaits.IsZero():
		t.awaits = now
	}
}

// silence goes behind a decision on a job that has a port and has told nothing yet; a pod may have a part in the text.
func (t *told) silence() string {
	if t == nil || t.problem == "" || len(t.speeds) > 0 || !t.saved.IsZero() {
		return ""
	}
	return fmt.Sprintf("; it has told nothing yet (%s): %.200s", v1.AnnotationStepsPort, t.problem)
}

// checkpoint is for the recommender; nil while the job has told of none.
func (t *told) checkpoint(now time.Time) *autoscale.Checkpoint {
	if t.saved.IsZero() {
		return nil
	}
	c := &autoscale.Checkpoint{Age: max(0, now.Sub(t.saved)), Every: t.every}
	if !t.awaits.IsZero() {
		c.Awaited = now.Sub(t.awaits)
	}
	return c
}

// shown is for the job's status.
func (t *told) shown() *v1.Checkpoint {
	if t == nil || t.saved.IsZero() {
		return nil
	}
	return &v1.Checkpoint{Last: metav1.NewTime(t.saved.Truncate(time.Second)), EverySeconds: int64(t.every / time.Second)}
}
