package controller

import (
	"testing"
	"time"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// noRoom is a quota that has no room for the rest of a job.
func (w *world) noRoom() *world {
	w.Trouble = &Trouble{Reason: "FailedCreatePod", Message: "exceeded quota", Retry: w.Now.Add(time.Minute), quota: true}
	return w
}

// TestQuotaIsNotHeldByHalves: a gang that is not whole gives back what it holds of a quota, and is made anew later.
func TestQuotaIsNotHeldByHalves(t *testing.T) {
	w := newWorld(t, parseJob(t, masterAndWorkers("Never"))).look()
	w.Pods = w.Pods[:2]
	w.noRoom().look().wantPods("").wantState("Created")
	if len(w.Services) != 0 {
		t.Errorf("%d Services are kept", len(w.Services))
	}
	w.rest().wantPods("")
	w.wait(time.Minute).look().wantPods("master-0 worker-0 worker-1").wantState("Created")
}

// TestQuotaIsKeptByWhoRuns: what has its place, or its floor, keeps it.
func TestQuotaIsKeptByWhoRuns(t *testing.T) {
	const elastic = `{spec: {elasticPolicy: {minReplicas: 2, maxReplicas: 4}, pytorchReplicaSpecs: {Worker: {replicas: 4}}}}`
	w := newWorld(t, parseJob(t, elastic)).look()
	w.vanish("worker-2").vanish("worker-3").noRoom().look().wantPods("worker-0 worker-1")
	w = newWorld(t, parseJob(t, masterAndWorkers("OnFailure"))).look().run().look()
	for _, pod := range w.Pods {
		pod.Spec.NodeName = "node"
	}
	w.vanish("worker-1").noRoom().look().wantPods("master-0 worker-0")
}

// TestLiveQuotaIsNotHeldByHalves: a job that a quota has no room for does not keep one out that it has room for.
func TestLiveQuotaIsNotHeldByHalves(t *testing.T) {
	l := newLive(t)
	l.twoPods()
	l.must(l.create(oneAndTwo))
	l.awaitEvent("FailedCreatePod")
	l.must(l.create(`{metadata: {name: fits}, spec: {pytorchReplicaSpecs: {Worker: {replicas: 2}}}}`))
	l.awaitPods("worker-0", "worker-1")
	l.name = "job"
	if c := condition(&l.job().Status, v1.JobCreateFailed); c == nil {
		t.Error("the job does not say why it has no pods")
	}
}
