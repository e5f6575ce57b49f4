package training

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// args are those of train.py for a job that trains until the test has seen enough.
func args(job string) []string {
	return []string{"--epochs", "1000", "--epoch-seconds", "0.5", "--until", "/workspace/" + job + "-enough"}
}

// TestElastic grows the example from 2 Workers to 3, shrinks it, and kills one. Each time
// training goes on from the checkpoint.
func TestElastic(t *testing.T) {
	needTorch(t)
	t.Parallel()
	job := start(t, "elastic.yaml", func(job *v1.PyTorchJob) {
		v1.Trainer(&job.Spec.PyTorchReplicaSpecs[v1.Worker].Template.Spec).Args = args(job.Name)
	})
	at := job.awaitEpoch(0, 2)
	job.scale(3)
	at = job.awaitEpoch(at, 3)
	job.scale(2)
	at = job.awaitEpoch(at, 2)
	job.kill("worker-1")
	job.awaitEpoch(at+2, 2) // 2 more, because an epoch may end before the other one notices
	job.enough()
	job.succeed()
	if progress := job.job().Status.Progress; progress == nil || progress.Resizes != 2 || progress.Restarts < 1 {
		t.Errorf("progress: %+v", progress)
	}
}

// TestStatic kills a Worker of a job with a Master: by their restart policy all ranks start
// again, where they are, from the checkpoint.
func TestStatic(t *testing.T) {
	needTorch(t)
	t.Parallel()
	job := start(t, "pytorch-job-example.yaml", func(job *v1.PyTorchJob) {
		for _, replicas := range job.Spec.PyTorchReplicaSpecs {
			replicas.RestartPolicy = v1.RestartOnFailure
			v1.Trainer(&replicas.Template.Spec).Args = args(job.Name)
		}
	})
	at := job.awaitEpoch(0, 3)
	job.kill("worker-0")
	job.awaitEpoch(at+2, 3)
	job.enough()
	job.succeed()
}

// TestMasterNeverReady: Workers do not wait for a Master that is not ready, for it may not
// become so before they have joined it (E10 of the contract).
func TestMasterNeverReady(t *testing.T) {
	t.Parallel()
	job := start(t, "pytorch-job-example.yaml", func(job *v1.PyTorchJob) {
		job.Name = "never-ready"
		for _, replicas := range job.Spec.PyTorchReplicaSpecs {
			v1.Trainer(&replicas.Template.Spec).Args = []string{"--epochs", "2", "--no-torch"}
		}
		master := v1.Trainer(&job.Spec.PyTorchReplicaSpecs[v1.Master].Template.Spec)
		master.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"false"}}}}
	})
	ready := false
	job.await("success", func() bool {
		for _, pod := range job.pods() {
			for _, c := range pod.Status.Conditions {
				ready = ready || c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && pod.Name == "never-ready-master-0"
			}
		}
		conditions := job.job().Status.Conditions
		return len(conditions) > 0 && conditions[len(conditions)-1].Type == v1.JobSucceeded
	})
	if ready {
		t.Error("the Master was ready")
	}
}
