package advisor

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/autoscale"
)

// TestToldOfCheckpoints: how often a job writes one shows with the second, going on from one
// after a change of size tells nothing of that, and a restarted controller knows all of it.
func TestToldOfCheckpoints(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	told, resized := recall(&v1.PyTorchJob{}), begin
	if told.checkpoint(begin) != nil || told.shown() != nil {
		t.Error("a job that has told nothing has a checkpoint")
	}
	for _, step := range []struct {
		name        string
		at, unsaved time.Duration // since the beginning, and since the checkpoint
		silent      bool
		resized     time.Duration
		want        autoscale.Checkpoint
	}{
		{name: "the first", at: time.Minute, unsaved: 10 * time.Second, want: autoscale.Checkpoint{Age: 10 * time.Second}},
		{name: "the same", at: 2 * time.Minute, unsaved: 71 * time.Second, want: autoscale.Checkpoint{Age: 70 * time.Second}},
		{name: "the second", at: 6 * time.Minute, unsaved: 10 * time.Second, want: autoscale.Checkpoint{Age: 10 * time.Second, Every: 5 * time.Minute}},
		{name: "no answer", at: 8 * time.Minute, silent: true, want: autoscale.Checkpoint{Age: 130 * time.Second, Every: 5 * time.Minute}},
		{name: "it went on from the second", at: 10 * time.Minute, unsaved: 30 * time.Second, resized: 8 * time.Minute, want: autoscale.Checkpoint{Age: 30 * time.Second, Every: 5 * time.Minute}},
		{name: "the third", at: 20 * time.Minute, unsaved: 30 * time.Second, want: autoscale.Checkpoint{Age: 30 * time.Second, Every: 10 * time.Minute}},
	} {
		now := begin.Add(step.at)
		if step.resized > 0 {
			resized = begin.Add(step.resized)
		}
		told.note(report{unsaved: step.unsaved, saves: !step.silent}, 2, now, resized)
		if got := told.checkpoint(now); got == nil || *got != step.want {
			t.Errorf("%s: %+v, want %+v", step.name, got, step.want)
		}
	}
	shown := told.shown()
	if !shown.Last.Time.Equal(begin.Add(19*time.Minute+30*time.Second)) || shown.EverySeconds != 600 {
		t.Errorf("shown: %+v", shown)
	}
	again := recall(&v1.PyTorchJob{Status: v1.JobStatus{StartTime: &metav1.Time{Time: begin}, Progress: &v1.Progress{Checkpoint: shown}}})
	if now := begin.Add(21 * time.Minute); *again.checkpoint(now) != (autoscale.Checkpoint{Age: 90 * time.Second, Every: 10 * time.Minute}) {
		t.Errorf("after a restart of the controller: %+v", again.checkpoint(now))
	}
}

// TestToldToAwait: the wait for a checkpoint is counted from when it began.
func TestToldToAwait(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	told := &told{saved: begin}
	for at, step := range []struct {
		awaits bool
		want   time.Duration // a minute later
	}{{true, time.Minute}, {true, 2 * time.Minute}, {false, 0}, {true, time.Minute}} {
		now := begin.Add(time.Duration(at) * time.Minute)
		told.await(step.awaits, now)
		if got := told.checkpoint(now.Add(time.Minute)).Awaited; got != step.want {
			t.Errorf("minute %d: %v, want %v", at, got, step.want)
		}
	}
}
