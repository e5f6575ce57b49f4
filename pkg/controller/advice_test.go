package controller

import (
	"strings"
	"testing"

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
	w.Advice = nil // a controller that has just started
	if w.rest(); shown() == "" {
		t.Error("what was shown is gone")
	}
	w.edit(func(j *v1.PyTorchJob) { delete(j.Annotations, v1.AnnotationAutoscale) })
	if w.rest(); shown() != "" {
		t.Errorf("still shown: %s", shown())
	}
}

// TestBoard: a verdict is news, other numbers are not.
func TestBoard(t *testing.T) {
	b, job := NewBoard(), parseJob(t, elasticJob)
	job.UID = "1"
	for _, advice := range []Advice{{Verdict: "NoRoom", Reason: "a"}, {Verdict: "NoRoom", Reason: "b"}, {Verdict: "Grow", Workers: 4}} {
		b.Post(job, advice)
	}
	if len(b.news) != 2 || b.of("1").Verdict != "Grow" || b.of("2") != nil {
		t.Errorf("%d news, advice %+v", len(b.news), b.of("1"))
	}
	b.Keep(nil)
	if b.of("1") != nil {
		t.Error("a job that is no more has advice")
	}
}
