package controller

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// byHand is a job as people write them: numbers without quotes, no replicas, nothing empty but what a program
// has left in a template.
const byHand = `{metadata: {name: job}, spec: {pytorchReplicaSpecs: {
	Master: {template: {spec: {containers: [{name: pytorch, image: a, resources: {limits: {nvidia.com/gpu: 1, cpu: 1000m}}}]}}},
	Worker: {template: {metadata: {creationTimestamp: null}, spec: {nodeSelector: {pool: a}, containers: [{name: pytorch, image: a}]}}}}}}`

// applyText creates a job as text, which the Go type would put into other words.
func (l *live) applyText(text string) {
	l.t.Helper()
	job := &unstructured.Unstructured{}
	l.must(yaml.Unmarshal([]byte(text), &job.Object))
	job.SetGroupVersionKind(v1.GroupVersionKind)
	job.SetNamespace(l.namespace)
	l.must(l.client.Create(l.ctx, job, client.FieldValidation("Strict")))
}

// TestLiveTypedUpdate: a client with Go types reads a running job, changes a label and sends it
// all back. The template is the same in other words; a real change of it is refused.
func TestLiveTypedUpdate(t *testing.T) {
	l := newLive(t)
	l.applyText(byHand)
	l.awaitPods("master-0", "worker-0")
	l.run("master-0", "worker-0")
	l.awaitState(v1.JobRunning)
	update := func(edit func(*v1.PyTorchJob)) (err error) {
		l.await("an update without a conflict", func() (bool, any) {
			job := l.job()
			edit(job)
			err = l.client.Update(l.ctx, job)
			return !apierrors.IsConflict(err), err
		})
		return err
	}
	l.must(update(func(j *v1.PyTorchJob) { metav1.SetMetaDataLabel(&j.ObjectMeta, "team", "a") }))
	l.wantRefusal(update(func(j *v1.PyTorchJob) {
		j.Spec.PyTorchReplicaSpecs[v1.Worker].Template.Spec.Containers[0].Args = []string{"--fast"}
	}), "spec.pytorchReplicaSpecs[Worker].template: Forbidden: field is immutable while running")
	l.must(update(func(j *v1.PyTorchJob) { j.Spec.RunPolicy.Suspend = new(true) }))
	l.awaitState(v1.JobSuspended)
}

// TestLiveKueue: Kueue stops a job by one patch that suspends it and takes back what it had added to
// the templates, and starts it by one that does the opposite.
func TestLiveKueue(t *testing.T) {
	l := newLive(t)
	l.applyText(byHand)
	l.awaitPods("master-0", "worker-0")
	l.run("master-0", "worker-0")
	l.awaitState(v1.JobRunning)
	patch := func(text string) error {
		return l.client.Patch(l.ctx, l.job(), client.RawPatch(types.MergePatchType, []byte(text)))
	}
	l.must(patch(`{"spec":{"runPolicy":{"suspend":true},"pytorchReplicaSpecs":{"Worker":{"template":{"spec":{"nodeSelector":null}}}}}}`))
	l.awaitState(v1.JobSuspended)
	l.awaitPods()
	l.must(patch(`{"spec":{"runPolicy":{"suspend":false},"pytorchReplicaSpecs":{"Worker":{"template":{
		"metadata":{"labels":{"flavor":"b"}},"spec":{"nodeSelector":{"pool":"b"},"tolerations":[{"key":"b","operator":"Exists"}]}}}}}}`))
	worker := l.awaitPods("master-0", "worker-0")["worker-0"]
	if worker.Spec.NodeSelector["pool"] != "b" || worker.Labels["flavor"] != "b" || worker.Spec.Tolerations[0].Key != "b" {
		t.Errorf("worker-0: %v %v %v", worker.Spec.NodeSelector, worker.Labels, worker.Spec.Tolerations)
	}
}

// TestLiveScaleOfDefaults: who leaves the number of Workers out can still be read by autoscalers.
func TestLiveScaleOfDefaults(t *testing.T) {
	l := newLive(t)
	l.applyText(byHand)
	l.awaitPods("master-0", "worker-0")
	l.run("master-0", "worker-0")
	l.await("active pods", func() (bool, any) {
		counts := l.job().Status.ReplicaStatuses
		return counts[v1.Worker] != nil && counts[v1.Worker].Active == 1, counts
	})
	l.wantScale(1, 1)
}

// TestLiveRangeOutgrowsTheName: a running job is not given a range whose pods could have no names.
func TestLiveRangeOutgrowsTheName(t *testing.T) {
	l := newLive(t)
	l.name = strings.Repeat("a", 54)
	l.applyText(`{metadata: {name: ` + l.name + `}, spec: {elasticPolicy: {minReplicas: 2}, pytorchReplicaSpecs: {
		Worker: {replicas: 2, template: {spec: {containers: [{name: pytorch, image: a}]}}}}}}`)
	l.awaitPods("worker-0", "worker-1")
	for _, wide := range []string{`{"minReplicas":11}`, `{"maxReplicas":11}`} {
		l.wantRefusal(l.client.Patch(l.ctx, l.job(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"elasticPolicy":`+wide+`}}`))),
			"metadata.name: Invalid value: must be no more than 53 characters")
	}
	l.wantRefusal(l.scale(0), "spec.pytorchReplicaSpecs[Worker].replicas: Forbidden: must be at least 1; omit Worker instead")
}
