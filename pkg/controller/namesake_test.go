package controller

import (
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// TestLiveJobOfTheSameName: a job is deleted and made anew while a pod of the first one, which had
// succeeded, is still going. That pod is no success of the second one.
func TestLiveJobOfTheSameName(t *testing.T) {
	l := newLive(t)
	l.must(l.create(`{spec: {pytorchReplicaSpecs: {Master: {template: {metadata: {finalizers: [example.com/hold]},
		spec: {containers: [{name: pytorch, image: a}]}}}}}}`))
	l.awaitPods("master-0")
	l.exit("master-0", 0)
	first := l.awaitState(v1.JobSucceeded)
	l.must(l.client.Delete(l.ctx, first, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	var old *corev1.Pod
	l.await("the end of the old pod", func() (bool, any) {
		old = l.pods()["master-0"]
		return old != nil && old.DeletionTimestamp != nil, old
	})
	l.must(l.create(`{spec: {pytorchReplicaSpecs: {Master: {}}}}`))
	l.awaitState(v1.JobCreated)
	want := "Error creating: pod " + l.namespace + "/job-master-0 is not of this job, and is still going: it is waited for"
	if got := l.awaitEvent("FailedCreatePod"); got != want {
		t.Errorf("event: %s\nwant:  %s", got, want)
	}
	free := old.DeepCopy()
	free.Finalizers = nil
	l.must(l.client.Patch(l.ctx, free, client.MergeFrom(old)))
	l.await("a pod of the second job", func() (bool, any) {
		pod := l.pods()["master-0"]
		return pod != nil && pod.UID != old.UID || finished(&l.job().Status), l.job().Status.Conditions
	})
	l.run("master-0")
	l.awaitState(v1.JobRunning)
}

// TestPageOfAnotherJob: what is known of a job is not known of the next one of its name.
func TestPageOfAnotherJob(t *testing.T) {
	n := newNotebook()
	podOf := func(job types.UID) *corev1.Pod {
		owner := metav1.NewControllerRef(&v1.PyTorchJob{ObjectMeta: metav1.ObjectMeta{Name: "job", UID: job}}, v1.GroupVersionKind)
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "pod of " + job, OwnerReferences: []metav1.OwnerReference{*owner}}}
	}
	gone := func() (uids []types.UID) {
		n.on(jobKey, func(p *page) {
			for _, pod := range p.gone {
				uids = append(uids, pod.UID)
			}
		})
		return uids
	}
	n.open(jobKey, "first")
	n.expect(jobKey, "Pod/job-master-0", noon)
	n.failed(jobKey, 1, &Trouble{}, noon)
	n.lost(jobKey, podOf("first"))
	n.open(jobKey, "first")
	if got := gone(); len(got) != 1 {
		t.Errorf("gone: %v", got)
	}
	n.lost(jobKey, podOf("second"))
	n.open(jobKey, "second")
	n.lost(jobKey, podOf("first"))
	if got := gone(); len(got) != 0 {
		t.Errorf("gone of the second job: %v", got)
	}
	n.lost(jobKey, podOf("second"))
	if got := gone(); len(got) != 1 || got[0] != "pod of second" {
		t.Errorf("gone of the second job: %v", got)
	}
	n.on(jobKey, func(p *page) {
		if p.trouble != nil || len(p.expected) != 0 {
			t.Errorf("the second job inherits: %+v", p)
		}
	})
}

// TestFreed: the job goes on at once when a name that it needs is free, and for nothing else.
func TestFreed(t *testing.T) {
	n := newNotebook()
	n.failed(jobKey, 1, &Trouble{taken: "Pod/job-master-0"}, noon)
	shut := func() (retry bool) {
		n.on(jobKey, func(p *page) { retry = p.trouble.Retry.After(noon) })
		return retry
	}
	if n.freed(jobKey, "Pod/job-worker-0"); !shut() {
		t.Error("tried again when another pod had gone")
	}
	if n.freed(jobKey, "Pod/job-master-0"); shut() {
		t.Error("not tried again when the name was free")
	}
}

// TestForeignAutoscalerOfOurName: it is told, and holds nothing else back.
func TestForeignAutoscalerOfOurName(t *testing.T) {
	w := newWorld(t, parseJob(t, `{spec: {elasticPolicy: {minReplicas: 1, maxReplicas: 2, maxRestarts: 1, metrics: [{type: Resource}]},
		pytorchReplicaSpecs: {Worker: {replicas: 1}}}}`))
	w.HPA = &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "job"}}
	w.look().run().look().wantState("Running").vanish("worker-0")
	w.rest().wantPods("worker-0")
	if c := condition(&w.Job.Status, v1.JobCreateFailed); c == nil || c.Reason != "AutoscalerConflict" || w.told("AutoscalerConflict") != 1 {
		t.Errorf("condition %+v, events %v", c, w.heard)
	}
	w.Trouble = &Trouble{Reason: "FailedCreateHorizontalPodAutoscaler", taken: "HorizontalPodAutoscaler/job"} // ours was tried before theirs was heard of
	if w.rest(); condition(&w.Job.Status, v1.JobCreateFailed).Reason != "AutoscalerConflict" {
		t.Errorf("conditions %v", w.Job.Status.Conditions)
	}
	w.HPA, w.Trouble = nil, nil
	if w.rest(); w.HPA == nil || condition(&w.Job.Status, v1.JobCreateFailed) != nil {
		t.Errorf("autoscaler %v, conditions %v", w.HPA, w.Job.Status.Conditions)
	}
}

// TestLiveForeignAutoscalerOfOurName: the same, with its name read from the cluster.
func TestLiveForeignAutoscalerOfOurName(t *testing.T) {
	l := newLive(t)
	foreign := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: "job"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{MaxReplicas: 2,
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}},
	}
	l.must(l.client.Create(l.ctx, foreign))
	l.must(l.create(`{spec: {elasticPolicy: {minReplicas: 1, maxReplicas: 2, maxRestarts: 1, metrics: [
		{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}, pytorchReplicaSpecs: {Worker: {}}}}`))
	l.awaitPods("worker-0")
	l.awaitEvent("AutoscalerConflict")
	l.must(l.client.Delete(l.ctx, foreign))
	l.await("an autoscaler of the job", func() (bool, any) {
		hpa := &autoscalingv2.HorizontalPodAutoscaler{}
		return l.exists(hpa, "job") && metav1.IsControlledBy(hpa, l.job()), hpa.Spec
	})
}
