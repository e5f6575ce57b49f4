package advisor

import (
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	lockstep "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/controller"
	"lockstep.dev/lockstep/pkg/kube"
)

const elasticJob = `
metadata:
  name: job
  annotations: {lockstep.dev/autoscale: cluster, lockstep.dev/expected-duration: 100h, lockstep.dev/resize-cooldown: 1s}
spec:
  elasticPolicy: {minReplicas: 2, maxReplicas: 6, maxRestarts: 10}
  pytorchReplicaSpecs:
    Worker:
      replicas: 2
      template: {spec: {containers: [{name: pytorch, image: a, resources: {limits: {nvidia.com/gpu: 1}}}]}}
`

// TestLive: a job grows into GPUs that are idle, gives them back to a gang that waits, and is
// left alone when somebody else scales it.
func TestLive(t *testing.T) {
	l := newLive(t)
	l.create(elasticJob)
	grown := l.awaitBound("job", 6)
	job := l.job("job")
	if got := *job.Spec.PyTorchReplicaSpecs[v1.Worker].Replicas; got != 6 {
		t.Errorf("Worker.replicas is %d", got)
	}
	if state := job.Status.Conditions[len(job.Status.Conditions)-1].Type; state == "Autoscaled" {
		t.Error("advice is shown as the job's state")
	}

	l.createGang("urgent", 6) // 2 are idle
	l.awaitBound("urgent", 6)
	shrunk := l.awaitBound("job", 2)
	for _, name := range []string{"worker-0", "worker-1"} {
		if shrunk[name] != grown[name] {
			t.Errorf("%s was replaced", name)
		}
	}
	l.awaitVerdict("job", "NoRoom", "")

	l.create(strings.Replace(elasticJob, "name: job", "name: other", 1))
	l.awaitVerdict("job", "Reserved", "gang default/other waits")

	hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "theirs"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{MaxReplicas: 3, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{
			APIVersion: "kubeflow.org/v1", Kind: "PyTorchJob", Name: "job"}}}
	l.must(l.client.Create(t.Context(), hpa))
	l.awaitVerdict("job", "OtherWriter", "HorizontalPodAutoscaler theirs")
	before := l.job("job")
	after := before.DeepCopy()
	delete(after.Annotations, v1.AnnotationAutoscale)
	l.must(l.client.Patch(t.Context(), after, client.MergeFrom(before)))
	l.await("no advice", func() (bool, any) {
		for _, c := range l.job("job").Status.Conditions {
			if c.Type == "Autoscaled" {
				return false, c
			}
		}
		return true, nil
	})
}

// TestLiveKeepsWhatWasAsked: what a job has beyond the size that it was made with goes to gangs
// that wait, and no more of it, however often the recommender has written its size since. More
// goes to another job that agrees to be small, once that has waited for long enough.
func TestLiveKeepsWhatWasAsked(t *testing.T) {
	clock := &program{}
	l := newLiveWith(t, Options{now: clock.now})
	l.create(strings.Replace(elasticJob, "replicas: 2", "replicas: 4", 1))
	l.awaitBound("job", 6)
	if asked := l.job("job").Status.Progress.Asked; asked == nil || *asked != 4 {
		t.Errorf("4 Workers were asked for, and %v are known", asked)
	}
	l.createGang("first", 4) // 2 are idle
	l.awaitBound("first", 4)
	l.awaitBound("job", 4)
	l.createGang("second", 2) // could start if the job went to its floor
	l.awaitVerdict("job", "Reserved", "gang default/second waits")
	if got := *l.job("job").Spec.PyTorchReplicaSpecs[v1.Worker].Replicas; got != 4 {
		t.Errorf("Worker.replicas is %d", got)
	}

	l.must(l.client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(namespace), client.MatchingLabels{controller.LabelPodGroup: "second"}))
	l.create(strings.NewReplacer("name: job", "name: other", "replicas: 2", "replicas: 4").Replace(elasticJob))
	clock.save(0, 3*time.Hour)
	l.awaitBound("other", 2)
	l.awaitBound("job", 2)
}

// TestLiveBelowTheCap: a job grows up to the cap of its queue, and not less because a gang
// waits that the cap keeps out.
func TestLiveBelowTheCap(t *testing.T) {
	l := newLive(t)
	queue := &lockstep.Queue{
		ObjectMeta: metav1.ObjectMeta{Name: "team"},
		Spec: lockstep.QueueSpec{Namespaces: []string{namespace}, Resources: []lockstep.QueueResource{
			{Name: "nvidia.com/gpu", Cap: new(resource.MustParse("4"))}}},
	}
	l.must(l.client.Create(t.Context(), queue))
	l.await("the scheduler to have heard of the queue", func() (bool, any) {
		l.must(l.client.Get(t.Context(), client.ObjectKeyFromObject(queue), queue))
		return meta.IsStatusConditionTrue(queue.Status.Conditions, kube.ValidCondition), queue.Status
	})
	l.createGang("large", 5) // above the cap
	l.create(elasticJob)
	l.awaitBound("job", 4)
	l.awaitVerdict("job", "NoRoom", "no room")
	if got := *l.job("job").Spec.PyTorchReplicaSpecs[v1.Worker].Replicas; got != 4 {
		t.Errorf("Worker.replicas is %d", got)
	}
}
