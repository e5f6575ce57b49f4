package advisor

import (
	"slices"
	"testing"
	"time"

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
