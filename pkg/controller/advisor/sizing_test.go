package advisor

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/autoscale"
)

// TestSizingKnowsWhatWasAsked: the recommender overwrites Worker.replicas, so what the job's
// owner asked for comes from its status.
func TestSizingKnowsWhatWasAsked(t *testing.T) {
	job := &v1.PyTorchJob{}
	if err := yaml.UnmarshalStrict([]byte(elasticJob), job); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	asked, workers := int32(4), int32(6)
	job.Spec.PyTorchReplicaSpecs[v1.Worker].Replicas = &workers
	job.Status = v1.JobStatus{
		StartTime:  &metav1.Time{Time: now},
		Conditions: []v1.JobCondition{{Type: v1.JobRunning}},
		Progress:   &v1.Progress{Workers: &workers, Asked: &asked},
	}
	a := &Advisor{Now: func() time.Time { return now }}
	if got := a.sizing(job, nil).job; got.Asked != 4 || got.Min != 2 || got.Max != 6 {
		t.Errorf("asked %d of %d to %d Workers, want 4 of 2 to 6", got.Asked, got.Min, got.Max)
	}
}

// TestMovingOnlyWhileTheSizeChanges: a job that runs as many Workers as it may, and as the controller gives
// it, is at rest, though another number was asked for. All others wait for one that changes its size.
func TestMovingOnlyWhileTheSizeChanges(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name          string
		asked, effect int32
		running       int
		annotations   map[string]string
		resizes       int32
		granted       *v1.Grant
		moving        bool
	}{
		{name: "as asked", asked: 4, effect: 4, running: 4},
		{name: "growing", asked: 6, effect: 6, running: 4, moving: true},
		{name: "not followed yet", asked: 6, effect: 4, running: 4, moving: true},
		{name: "above the range", asked: 7, effect: 6, running: 6},
		{name: "above the range, not followed yet", asked: 7, effect: 4, running: 4, moving: true},
		{name: "below the range", asked: 1, effect: 2, running: 2},
		{name: "no allowed size", asked: 5, effect: 4, running: 4, annotations: map[string]string{v1.AnnotationWorldSizes: "2,4"}},
		{name: "no resizes left", asked: 6, effect: 4, running: 4, resizes: 1, annotations: map[string]string{v1.AnnotationMaxResizes: "1"}},
		{name: "gave Workers away", asked: 6, effect: 4, running: 4, granted: &v1.Grant{Workers: 4, Since: metav1.NewTime(now)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			job := &v1.PyTorchJob{}
			if err := yaml.UnmarshalStrict([]byte(elasticJob), job); err != nil {
				t.Fatal(err)
			}
			job.Spec.PyTorchReplicaSpecs[v1.Worker].Replicas = &c.asked
			job.Annotations = c.annotations
			job.Status = v1.JobStatus{
				StartTime:  &metav1.Time{Time: now},
				Conditions: []v1.JobCondition{{Type: v1.JobRunning}},
				Progress:   &v1.Progress{Workers: &c.effect, Resizes: c.resizes, Granted: c.granted},
			}
			var workers []*corev1.Pod
			for range c.running {
				workers = append(workers, &corev1.Pod{Spec: corev1.PodSpec{NodeName: "node"}, Status: corev1.PodStatus{Phase: corev1.PodRunning}})
			}
			a := &Advisor{Now: func() time.Time { return now }}
			if got := a.sizing(job, workers).moving; got != c.moving {
				t.Errorf("moving: %v, want %v", got, c.moving)
			}
		})
	}
}

// TestSizingKnowsOfChanges: a job has the size with which it started until the controller changes it,
// or it gives Workers away.
func TestSizingKnowsOfChanges(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	start, workers := metav1.NewTime(now.Add(-time.Hour)), int32(4)
	for _, c := range []struct {
		name      string
		resized   *metav1.Time
		granted   *v1.Grant
		settled   time.Duration
		unchanged bool
	}{
		{name: "as it started", settled: time.Hour, unchanged: true},
		{name: "resized", resized: &metav1.Time{Time: now.Add(-time.Minute)}, settled: time.Minute},
		{name: "gave Workers away at its start", granted: &v1.Grant{Workers: 4, Since: start}, settled: time.Hour},
	} {
		job := &v1.PyTorchJob{}
		if err := yaml.UnmarshalStrict([]byte(elasticJob), job); err != nil {
			t.Fatal(err)
		}
		job.Status = v1.JobStatus{
			StartTime: &start, Conditions: []v1.JobCondition{{Type: v1.JobRunning}},
			Progress: &v1.Progress{Workers: &workers, LastResize: c.resized, Granted: c.granted},
		}
		a := &Advisor{Now: func() time.Time { return now }}
		if got := a.sizing(job, nil).job; got.Settled != c.settled || got.Unchanged != c.unchanged {
			t.Errorf("%s: settled for %s, unchanged: %v; want %s, %v", c.name, got.Settled, got.Unchanged, c.settled, c.unchanged)
		}
	}
}

// TestElasticGangs: of the gangs that wait only those of jobs that ask to be sized themselves
// are made way for with what others asked for.
func TestElasticGangs(t *testing.T) {
	read := func(change func(*v1.PyTorchJob)) *v1.PyTorchJob {
		job := &v1.PyTorchJob{}
		if err := yaml.UnmarshalStrict([]byte(elasticJob), job); err != nil {
			t.Fatal(err)
		}
		job.Namespace = "team"
		change(job)
		return job
	}
	again := int32(5)
	pending := []autoscale.Pending{{Name: "team/new"}, {Name: "team/again"}, {Name: "team/fixed"}, {Name: "other/new"}}
	elastic(pending, []*v1.PyTorchJob{
		read(func(job *v1.PyTorchJob) { job.Name = "new" }),
		read(func(job *v1.PyTorchJob) {
			job.Name = "again"
			job.Status.Progress = &v1.Progress{Asked: &again} // Worker.replicas is the recommender's
		}),
	})
	want := []autoscale.Pending{{Name: "team/new", Floor: 2, Asked: 2}, {Name: "team/again", Floor: 2, Asked: 5}, {Name: "team/fixed"}, {Name: "other/new"}}
	if !slices.Equal(pending, want) {
		t.Errorf("%+v, want %+v", pending, want)
	}
}
