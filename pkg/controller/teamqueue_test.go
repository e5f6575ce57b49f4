package controller

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/kube"
)

// TestLiveQueueNotFound: a queue that does not exist is no reason to refuse the job, and it
// shows until the queue is there (row 26 of the project's list of bad input).
func TestLiveQueueNotFound(t *testing.T) {
	l := newLive(t)
	name := l.namespace + "-research"
	l.must(l.create(`{spec: {runPolicy: {schedulingPolicy: {queue: ` + name + `}}, pytorchReplicaSpecs: {Worker: {}}}}`))
	want := `spec.runPolicy.schedulingPolicy.queue: Not found: "` + name + `": create this Queue, or the job anew with another`
	if got := l.awaitEvent("QueueNotFound"); got != want {
		t.Errorf("event: %s\nwant:  %s", got, want)
	}
	job := l.awaitState(v1.JobCreated)
	if c := condition(&job.Status, conditionQueueNotFound); c == nil || c.Message != want || c.Reason != "QueueNotFound" {
		t.Errorf("condition: %+v", c)
	}
	l.awaitPods("worker-0")
	group := &scheduling.PodGroup{}
	if !l.exists(group, l.name) || group.Labels[kube.QueueLabel] != name {
		t.Errorf("labels of the PodGroup: %v", group.Labels)
	}
	queue := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
	queue.SetGroupVersionKind(newQueue().GroupVersionKind())
	queue.SetName(name)
	l.must(l.client.Create(l.ctx, queue))
	t.Cleanup(func() { _ = l.client.Delete(context.Background(), queue) })
	l.await("no condition", func() (bool, any) {
		c := condition(&l.job().Status, conditionQueueNotFound)
		return c == nil, c
	})
	l.must(l.client.Delete(l.ctx, queue))
	l.await("the condition again", func() (bool, any) {
		c := condition(&l.job().Status, conditionQueueNotFound)
		return c != nil, c
	})
}

// By its label a job may be moved to another queue.
func TestLiveQueueByLabel(t *testing.T) {
	l := newLive(t)
	name := l.namespace + "-vision"
	l.must(l.create(`{metadata: {labels: {lockstep.dev/queue: ` + name + `}}, spec: {pytorchReplicaSpecs: {Worker: {}}}}`))
	want := `metadata.labels[lockstep.dev/queue]: Not found: "` + name + `": create this Queue, or correct the label`
	if got := l.awaitEvent("QueueNotFound"); got != want {
		t.Errorf("event: %s\nwant:  %s", got, want)
	}
	l.awaitState(v1.JobCreated)
	l.must(l.edit(func(j *v1.PyTorchJob) { delete(j.Labels, kube.QueueLabel) }))
	l.await("no condition", func() (bool, any) {
		c := condition(&l.job().Status, conditionQueueNotFound)
		return c == nil, c
	})
}
