package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
	"sigs.k8s.io/yaml"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

const oneAndTwo = `{spec: {pytorchReplicaSpecs: {Master: {restartPolicy: ExitCode}, Worker: {replicas: 2, restartPolicy: ExitCode}}}}`

var oneAndTwoPods = []string{"master-0", "worker-0", "worker-1"}

// TestLiveSample: the way of the sample job, old position of cleanPodPolicy included (E1, E11, E29).
func TestLiveSample(t *testing.T) {
	l := newLive(t)
	text, err := os.ReadFile(filepath.Join(goldenDir, "..", "examples", "pytorch-job-example.yaml"))
	if os.IsNotExist(err) {
		t.Skipf("no sample: %v", err)
	}
	l.must(err)
	job := &v1.PyTorchJob{}
	l.must(yaml.UnmarshalStrict(text, job))
	job.Namespace, l.name = l.namespace, job.Name
	l.must(l.client.Create(l.ctx, job, client.FieldValidation("Strict")))

	pods := l.awaitPods(oneAndTwoPods...)
	l.awaitState(v1.JobCreated)
	if pods["worker-1"].Spec.SchedulerName != "lockstep" || pods["worker-1"].Labels[LabelPodGroup] != job.Name {
		t.Errorf("worker-1: %+v", pods["worker-1"])
	}
	group := &scheduling.PodGroup{}
	if gpus := func() string { q := group.Spec.MinResources["nvidia.com/gpu"]; return q.String() }; !l.exists(group, job.Name) ||
		group.Spec.MinMember != 3 || gpus() != "3" {
		t.Errorf("PodGroup: %+v", group.Spec)
	}
	service := &corev1.Service{}
	if !l.exists(service, job.Name+"-worker-1") || service.Spec.ClusterIP != corev1.ClusterIPNone || !service.Spec.PublishNotReadyAddresses {
		t.Errorf("Service: %+v", service.Spec)
	}
	l.run("master-0")
	l.awaitState(v1.JobRunning)
	l.run("worker-0", "worker-1")
	l.await("three active pods", func() (bool, any) {
		counts := l.job().Status.ReplicaStatuses
		return counts[v1.Master].Active == 1 && counts[v1.Worker].Active == 2, counts
	})
	l.wantScale(2, 2)
	l.exit("master-0", 0)
	done := l.awaitState(v1.JobSucceeded)
	if done.Status.CompletionTime == nil || done.Status.ReplicaStatuses[v1.Master].Succeeded != 1 ||
		done.Status.ReplicaStatuses[v1.Worker].Active != 2 {
		t.Errorf("status: %+v", done.Status)
	}
	l.wantScale(2, 2)
	l.awaitPods(oneAndTwoPods...)
	l.await("no PodGroup", func() (bool, any) { return !l.exists(group, job.Name), "still there" })
	l.awaitEvent("PodsStillRunning")
	for _, reason := range []string{reasonCreated, reasonRunning, reasonSucceeded} {
		if n, _ := l.told(reason); n != 1 {
			t.Errorf("event %s: %d times", reason, n)
		}
	}
}

// wantScale reads /scale as autoscalers do.
func (l *live) wantScale(spec, status int32) {
	l.t.Helper()
	clients, err := kubernetes.NewForConfig(shared.cluster.RESTConfig())
	l.must(err)
	raw, err := clients.RESTClient().Get().
		AbsPath("/apis/kubeflow.org/v1/namespaces", l.namespace, "pytorchjobs", l.name, "scale").DoRaw(l.ctx)
	l.must(err)
	scale := struct {
		Spec   struct{ Replicas int32 }
		Status struct {
			Replicas int32
			Selector string
		}
	}{}
	l.must(json.Unmarshal(raw, &scale))
	if scale.Spec.Replicas != spec || scale.Status.Replicas != status || !strings.Contains(scale.Status.Selector, "replica-type=worker") {
		l.t.Errorf("scale: %s", raw)
	}
}

// TestLiveCalls: what a job of 8 costs from its creation to its success. A list or a
// get for a single job would be a mistake, and so would a write at rest.
func TestLiveCalls(t *testing.T) {
	l := newLive(t)
	l.must(l.create(`{spec: {pytorchReplicaSpecs: {Master: {}, Worker: {replicas: 7}}}}`))
	names := []string{"master-0", "worker-0", "worker-1", "worker-2", "worker-3", "worker-4", "worker-5", "worker-6"}
	l.awaitPods(names...)
	l.awaitState(v1.JobCreated)
	l.run(names...)
	l.await("8 active pods", func() (bool, any) {
		counts := l.job().Status.ReplicaStatuses
		return counts[v1.Master].Active+counts[v1.Worker].Active == 8, counts
	})
	l.exit("master-0", 0)
	l.awaitState(v1.JobSucceeded)
	l.await("no PodGroup", func() (bool, any) { return !l.exists(&scheduling.PodGroup{}, l.name), "still there" })
	l.awaitEvent(reasonSucceeded)
	counts := map[string]int{}
	for _, call := range shared.calls.about(l.namespace) {
		verb, path, _ := strings.Cut(call, " ")
		parts := strings.Split(path[strings.Index(path, "/namespaces/"):], "/")
		resource := parts[3]
		if len(parts) > 5 {
			resource += "/" + parts[5]
		}
		counts[verb+" "+resource]++
	}
	t.Logf("calls for a job of 8: %v", counts)
	status := counts["PATCH pytorchjobs/status"]
	want := map[string]int{
		"DRYRUN pods": 2, "POST podgroups": 1, "POST services": 8, "POST pods": 8, "DELETE podgroups": 1,
		"PATCH pytorchjobs/status": status, "POST events": counts["POST events"], "PATCH events": counts["PATCH events"],
	}
	for call, n := range counts {
		if want[call] != n {
			t.Errorf("%s: %d times, want %d", call, n, want[call])
		}
	}
	// One for each state and, on a machine so slow that the pods start one by one, for each pod.
	if status > 3+8 {
		t.Errorf("the status was written %d times", status)
	}
}

// TestLivePriorityClass: an unknown class shows, nothing is made by halves, and it heals.
func TestLivePriorityClass(t *testing.T) {
	l := newLive(t)
	class := l.namespace + "-high"
	l.must(l.create(`{spec: {pytorchReplicaSpecs: {Master: {}, Worker: {replicas: 2, template: {spec: {priorityClassName: ` + class +
		`, containers: [{name: pytorch, image: a}]}}}}}}`))
	want := fmt.Sprintf(`spec.pytorchReplicaSpecs[Worker].template.spec.priorityClassName: no PriorityClass with name %q was found`, class)
	if got := l.awaitEvent("PriorityClassNotFound"); got != want {
		t.Errorf("event: %s\nwant:  %s", got, want)
	}
	l.await("a condition", func() (bool, any) {
		c := condition(&l.job().Status, v1.JobCreateFailed)
		return c != nil && c.Reason == "PriorityClassNotFound" && c.Message == want, c
	})
	if len(l.pods()) != 0 || l.exists(&scheduling.PodGroup{}, l.name) || l.exists(&corev1.Service{}, l.name+"-master-0") {
		t.Error("something was made for a job whose pods cannot be made")
	}
	l.must(l.client.Create(l.ctx, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: class}, Value: 1000}))
	t.Cleanup(func() {
		_ = l.client.Delete(context.Background(), &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: class}})
	})
	l.awaitPods(oneAndTwoPods...)
	l.await("no condition", func() (bool, any) {
		c := condition(&l.job().Status, v1.JobCreateFailed)
		return c == nil, c
	})
}

// TestLiveFractionalGPU: the apiserver's words, with the path in the job, which its author then mends.
func TestLiveFractionalGPU(t *testing.T) {
	l := newLive(t)
	l.must(l.create(`{spec: {pytorchReplicaSpecs: {Master: {template: {spec: {containers: [
		{name: pytorch, image: a, resources: {limits: {nvidia.com/gpu: 500m}}}]}}}}}}`))
	const want = "spec.pytorchReplicaSpecs[Master].template.spec.containers[0].resources.limits[nvidia.com/gpu]: " +
		`Invalid value: "500m": must be an integer`
	mended := `{"spec":{"pytorchReplicaSpecs":{"Master":{"template":{"spec":{"containers":[
		{"name":"pytorch","image":"a","resources":{"limits":{"nvidia.com/gpu":1}}}]}}}}}}`
	if got := l.awaitEvent("FailedCreatePod"); !strings.Contains(got, want) {
		t.Errorf("event: %s\nwant:  %s", got, want)
	}
	if len(l.pods()) != 0 || l.exists(&scheduling.PodGroup{}, l.name) {
		t.Error("something was made for a job whose pods cannot be made")
	}
	l.await("a condition", func() (bool, any) {
		c := condition(&l.job().Status, v1.JobCreateFailed)
		return c != nil, c
	})
	l.must(l.client.Patch(l.ctx, l.job(), client.RawPatch(types.MergePatchType, []byte(mended))))
	l.awaitPods("master-0")
}

// twoPods makes a quota of two pods. The apiserver hears of quotas by a watch of its own: this one
// counts once a Secret, of which it allows none, is refused.
func (l *live) twoPods() *corev1.ResourceQuota {
	l.t.Helper()
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "two-pods", Namespace: l.namespace},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			corev1.ResourcePods: resource.MustParse("2"), corev1.ResourceSecrets: resource.MustParse("0"),
		}}}
	l.must(l.client.Create(l.ctx, quota))
	l.await("the quota", func() (bool, any) {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "none", Namespace: l.namespace}}
		err := l.client.Create(l.ctx, secret, client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "exceeded quota"), err
	})
	return quota
}

// TestLiveQuota: the quota is named, and the job goes on when it is raised.
func TestLiveQuota(t *testing.T) {
	l := newLive(t)
	quota := l.twoPods()
	l.must(l.create(oneAndTwo))
	if got := l.awaitEvent("FailedCreatePod"); !strings.Contains(got, "exceeded quota: two-pods") {
		t.Errorf("event: %s", got)
	}
	l.await("a condition", func() (bool, any) {
		c := condition(&l.job().Status, v1.JobCreateFailed)
		return c != nil && strings.Contains(c.Message, "two-pods"), c
	})
	raised := quota.DeepCopy()
	raised.Spec.Hard[corev1.ResourcePods] = resource.MustParse("10")
	l.must(l.client.Patch(l.ctx, raised, client.MergeFrom(quota)))
	l.awaitPods(oneAndTwoPods...)
}

// TestLiveUpdates: what a started job refuses (E4, E5, E28), and what it takes while suspended (E13).
func TestLiveUpdates(t *testing.T) {
	l := newLive(t)
	l.must(l.create(oneAndTwo))
	l.awaitPods(oneAndTwoPods...)
	l.run(oneAndTwoPods...)
	l.awaitState(v1.JobRunning)
	image := func(j *v1.PyTorchJob) {
		j.Spec.PyTorchReplicaSpecs[v1.Worker].Template.Spec.Containers[0].Image = "other:2"
	}
	l.wantRefusal(l.scale(0), "spec.pytorchReplicaSpecs.Worker.replicas")
	l.wantRefusal(l.scale(3), "spec.pytorchReplicaSpecs[Worker].replicas: Forbidden: field is immutable while running")
	l.wantRefusal(l.edit(policy(func(p *v1.RunPolicy) { p.ManagedBy = new(v1.ManagedByMultiKueue) })), "spec.runPolicy.managedBy")
	l.wantRefusal(l.edit(image), "spec.pytorchReplicaSpecs[Worker].template: Forbidden: field is immutable while running")
	l.awaitPods(oneAndTwoPods...)
	l.awaitState(v1.JobRunning)

	l.must(l.edit(policy(func(p *v1.RunPolicy) { p.Suspend = new(true) })))
	l.awaitState(v1.JobSuspended)
	l.awaitPods()
	l.must(l.edit(image))
	l.must(l.edit(policy(func(p *v1.RunPolicy) { p.Suspend = new(false) })))
	pods := l.awaitPods(oneAndTwoPods...)
	l.awaitState(v1.JobCreated)
	if pods["worker-0"].Spec.Containers[0].Image != "other:2" {
		t.Error("the new template is not used")
	}
	l.run(oneAndTwoPods...)
	l.awaitState(v1.JobRunning)
	l.awaitEvent(reasonResumed)
	for _, reason := range []string{reasonSuspended, reasonResumed, "JobTerminated"} {
		if n, _ := l.told(reason); n != 1 {
			t.Errorf("event %s: %d times", reason, n)
		}
	}
}

// TestLiveRestarts: E14, E16.
func TestLiveRestarts(t *testing.T) {
	l := newLive(t)
	l.must(l.create(oneAndTwo))
	l.awaitPods(oneAndTwoPods...)
	l.run(oneAndTwoPods...)
	l.awaitState(v1.JobRunning)
	l.must(l.edit(limit(2)))
	for i := range 2 {
		uid := l.pods()["worker-1"].UID
		l.exit("worker-1", 137)
		l.awaitState(v1.JobRestarting)
		l.await("a new worker-1", func() (bool, any) {
			pod := l.pods()["worker-1"]
			return pod != nil && pod.UID != uid, "the old one"
		})
		l.run("worker-1")
		l.awaitState(v1.JobRunning)
		if got := l.job().Status.Progress.Restarts; got != int32(i+1) {
			t.Errorf("%d restarts counted after %d", got, i+1)
		}
	}
	l.exit("worker-1", 137)
	l.awaitState(v1.JobFailed)
	l.awaitPods("worker-1")
}

// TestLiveNever: E21.
func TestLiveNever(t *testing.T) {
	l := newLive(t)
	l.must(l.create(strings.ReplaceAll(oneAndTwo, "ExitCode", "Never")))
	l.awaitPods(oneAndTwoPods...)
	l.run(oneAndTwoPods...)
	l.awaitState(v1.JobRunning)
	l.exit("worker-1", 1)
	if l.awaitState(v1.JobFailed).Status.CompletionTime == nil {
		t.Error("no completion time")
	}
	l.awaitEvent(reasonFailed)
	if n, _ := l.told(reasonFailed); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestLiveTimers: nothing else happens on the cluster; the controller wakes by itself (E15, E18, E19).
func TestLiveTimers(t *testing.T) {
	gone := func(l *live) {
		l.await("the end of the job", func() (bool, any) { return !l.exists(&v1.PyTorchJob{}, l.name), "still there" })
		l.await("the end of its pods", func() (bool, any) { return len(l.pods()) == 0, len(l.pods()) })
	}
	t.Run("deadline", func(t *testing.T) {
		l := newLive(t)
		l.must(l.create(`{spec: {pytorchReplicaSpecs: {Master: {}}}}`))
		l.awaitPods("master-0")
		l.run("master-0")
		l.awaitState(v1.JobRunning)
		// Not before: a slow machine may take longer until the pod runs.
		l.must(l.edit(policy(func(p *v1.RunPolicy) { p.ActiveDeadlineSeconds = new(int64(5)) })))
		job := l.awaitState(v1.JobFailed)
		if lasted := job.Status.CompletionTime.Sub(job.Status.StartTime.Time); lasted < 5*time.Second {
			t.Errorf("failed after %v", lasted)
		}
		l.awaitPods()
	})
	t.Run("ttl after a permanent failure", func(t *testing.T) {
		l := newLive(t)
		l.must(l.create(`{spec: {runPolicy: {ttlSecondsAfterFinished: 5}, pytorchReplicaSpecs: {Master: {restartPolicy: ExitCode}}}}`))
		l.awaitPods("master-0")
		l.exit("master-0", 1)
		l.awaitEvent(reasonFailed) // it outlives the job, which is there for 5 seconds
		gone(l)
	})
	t.Run("ttl 0", func(t *testing.T) {
		l := newLive(t)
		l.must(l.create(`{spec: {ttlSecondsAfterFinished: 0, pytorchReplicaSpecs: {Master: {}}}}`))
		l.awaitPods("master-0")
		l.exit("master-0", 0)
		gone(l)
	})
}

// TestLiveElastic: E22, E23, E26 through /scale, with the real HPA object.
func TestLiveElastic(t *testing.T) {
	l := newLive(t)
	l.must(l.create(`{spec: {elasticPolicy: {minReplicas: 1, maxReplicas: 3, maxRestarts: 3, metrics: [{type: Resource, resource: {
		name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}, pytorchReplicaSpecs: {Worker: {replicas: 2}}}}`))
	pods := l.awaitPods("worker-0", "worker-1")
	uid := pods["worker-0"].UID
	l.await("an HPA", func() (bool, any) { return l.exists(&autoscalingv2.HorizontalPodAutoscaler{}, l.name), "none" })
	l.run("worker-0", "worker-1")
	l.awaitState(v1.JobRunning)
	l.must(l.scale(3))
	if pods := l.awaitPods("worker-0", "worker-1", "worker-2"); pods["worker-0"].UID != uid {
		t.Error("growth touched worker-0")
	}
	l.must(l.scale(1))
	if pods := l.awaitPods("worker-0"); pods["worker-0"].UID != uid {
		t.Error("shrinking touched worker-0")
	}
	group := &scheduling.PodGroup{}
	if !l.exists(group, l.name) || group.Spec.MinMember != 1 {
		t.Errorf("floor %d", group.Spec.MinMember)
	}
	l.awaitState(v1.JobRunning)
	l.exit("worker-0", 0)
	l.awaitState(v1.JobSucceeded)
	l.await("no HPA", func() (bool, any) { return !l.exists(&autoscalingv2.HorizontalPodAutoscaler{}, l.name), "still there" })
}

// TestLiveNameTaken: a pod of another is not touched; the job says so and goes on when it is gone.
func TestLiveNameTaken(t *testing.T) {
	l := newLive(t)
	other := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "job-worker-0", Namespace: l.namespace},
		Spec: corev1.PodSpec{SchedulerName: "none", Containers: []corev1.Container{{Name: "a", Image: "a"}}}}
	l.must(l.client.Create(l.ctx, other))
	l.must(l.create(oneAndTwo))
	want := fmt.Sprintf("Error creating: pod %s/job-worker-0 already exists and is not of this job: delete it, or give the job another name", l.namespace)
	if got := l.awaitEvent("FailedCreatePod"); got != want {
		t.Errorf("event: %s", got)
	}
	l.must(l.client.Delete(l.ctx, other))
	l.await("a pod of the job", func() (bool, any) {
		pod := l.pods()["worker-0"]
		return pod != nil && pod.UID != other.UID, "the other"
	})
	l.awaitPods(oneAndTwoPods...)
}

// TestLiveStandAside: another operator is noticed when it runs, and when it has gone.
func TestLiveStandAside(t *testing.T) {
	l := newLive(t)
	selector, err := labels.Parse("other-operator=" + l.namespace)
	l.must(err)
	other := &otherOperator{reader: l.client, selector: selector}
	look := func(want bool) {
		t.Helper()
		l.must(other.look(l.ctx))
		if other.present.Load() != want {
			t.Errorf("present: %v, want %v", !want, want)
		}
	}
	look(false)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "operator", Namespace: l.namespace,
		Labels: map[string]string{"other-operator": l.namespace}},
		Spec: corev1.PodSpec{SchedulerName: "none", Containers: []corev1.Container{{Name: "a", Image: "a"}}}}
	l.must(l.client.Create(l.ctx, pod))
	look(false) // not running
	pod.Status.Phase = corev1.PodRunning
	l.must(l.client.Status().Update(l.ctx, pod))
	look(true)
	l.must(l.client.Delete(l.ctx, pod))
	look(false)
}
