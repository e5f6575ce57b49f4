package controller

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// TestAdvice: what the recommender decided is shown and told once, though its numbers change
// with every look, and it is not the job's state.
func TestAdvice(t *testing.T) {
	w := running(t, elasticJob).edit(annotate(v1.AnnotationAutoscale, "cluster"))
	shown := func() string {
		if c := condition(&w.Job.Status, conditionAutoscaled); c != nil {
			return c.Reason + ": " + c.Message
		}
		return ""
	}
	w.rest()
	w.Advice = &Advice{Verdict: "Grow", Reason: "grows from 2 to 4", Workers: 4, Changes: true}
	if w.rest().wantState("Running"); shown() != "Grow: grows from 2 to 4" || w.told("Autoscaled") != 1 {
		t.Errorf("shown %q, told %d times", shown(), w.told("Autoscaled"))
	}
	w.Advice = &Advice{Verdict: "Settling", Reason: "has had this size for 1s", Workers: 4}
	w.rest()
	writes := w.writes
	w.Advice = &Advice{Verdict: "Settling", Reason: "has had this size for 2s", Workers: 4}
	if w.rest(); w.writes != writes || !strings.HasSuffix(shown(), "for 1s") || w.told("Autoscaled") != 1 {
		t.Errorf("shown %q, %d more writes, told %d times", shown(), w.writes-writes, w.told("Autoscaled"))
	}
	w.Advice = &Advice{Verdict: "Settling", Reason: "has had this size for 3s", Workers: 4,
		Checkpoint: &v1.Checkpoint{Last: metav1.Time{Time: w.Now}, EverySeconds: 300}}
	if w.rest(); w.Job.Status.Progress.Checkpoint == nil || w.Job.Status.Progress.Checkpoint.EverySeconds != 300 {
		t.Errorf("the checkpoint is not shown: %+v", w.Job.Status.Progress)
	}
	writes = w.writes
	if w.rest(); w.writes != writes {
		t.Errorf("the same checkpoint is written %d times more", w.writes-writes)
	}
	w.Advice = nil // a controller that has just started
	if w.rest(); shown() == "" || w.Job.Status.Progress.Checkpoint == nil {
		t.Error("what was shown is gone")
	}
	w.edit(func(j *v1.PyTorchJob) { delete(j.Annotations, v1.AnnotationAutoscale) })
	if w.rest(); shown() != "" || w.Job.Status.Progress.Checkpoint != nil {
		t.Errorf("still shown: %s, %+v", shown(), w.Job.Status.Progress)
	}
}

// TestBoard: a verdict and a checkpoint are news, other numbers are not.
func TestBoard(t *testing.T) {
	b, job := NewBoard(), parseJob(t, elasticJob)
	job.UID = "1"
	for _, advice := range []Advice{{Verdict: "NoRoom", Reason: "a"}, {Verdict: "NoRoom", Reason: "b"}, {Verdict: "Grow", Workers: 4},
		{Verdict: "Grow", Workers: 4, Checkpoint: &v1.Checkpoint{}}, {Verdict: "Grow", Workers: 4, Checkpoint: &v1.Checkpoint{}}} {
		b.Post(job, advice)
	}
	if len(b.news) != 3 || b.of("1").Verdict != "Grow" || b.of("2") != nil {
		t.Errorf("%d news, advice %+v", len(b.news), b.of("1"))
	}
	b.Keep(nil)
	if b.of("1") != nil {
		t.Error("a job that is no more has advice")
	}
}
