package controller

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// bind puts pods on a machine of the test's own, so that they take their time to go:
// the apiserver waits for a kubelet, which is the test.
func (l *live) bind(names ...string) {
	l.t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "of-" + l.namespace}}
	if err := l.client.Create(l.ctx, node); client.IgnoreAlreadyExists(err) != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		ctx := context.Background()
		_ = l.client.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(l.namespace), client.GracePeriodSeconds(0))
		_ = l.client.Delete(ctx, node)
	})
	for _, name := range names {
		pod := l.pods()[name]
		binding := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: node.Name}}
		l.must(l.client.SubResource("binding").Create(l.ctx, pod, binding))
	}
}

func (l *live) awaitTerminating(name string) *corev1.Pod {
	l.t.Helper()
	var pod *corev1.Pod
	l.await(name+" to be told to go", func() (bool, any) {
		pod = l.pods()[name]
		return pod != nil && pod.DeletionTimestamp != nil, "not yet"
	})
	return pod
}

// reap is the end of a pod that its kubelet confirms.
func (l *live) reap(pod *corev1.Pod) {
	l.t.Helper()
	l.must(l.client.Delete(l.ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID}))
}

// TestLiveCleanUp: E2, E20.
func TestLiveCleanUp(t *testing.T) {
	for policy, left := range map[string][]string{
		"cleanPodPolicy: All, runPolicy: {cleanPodPolicy: None}": oneAndTwoPods,
		"cleanPodPolicy: All":                                            {},
		"runPolicy: {cleanPodPolicy: Running}":                           {"master-0"},
		"runPolicy: {cleanPodPolicy: None}":                              oneAndTwoPods,
		"runPolicy: {backoffLimit: 3}":                                   oneAndTwoPods,
		"runPolicy: {ttlSecondsAfterFinished: 600, cleanPodPolicy: All}": {},
	} {
		t.Run(policy, func(t *testing.T) {
			l := newLive(t)
			l.must(l.create(`{spec: {` + policy + `, pytorchReplicaSpecs: {Master: {}, Worker: {replicas: 2}}}}`))
			l.awaitPods(oneAndTwoPods...)
			l.run(oneAndTwoPods...)
			l.awaitState(v1.JobRunning)
			l.exit("master-0", 0)
			l.awaitState(v1.JobSucceeded)
			l.awaitPods(left...)
			l.await("the Services of these pods", func() (bool, any) {
				list := &corev1.ServiceList{}
				l.must(l.client.List(l.ctx, list, client.InNamespace(l.namespace)))
				return len(list.Items) == len(left), len(list.Items)
			})
			if strings.Contains(policy, "runPolicy: {cleanPodPolicy: None}") && strings.HasPrefix(policy, "cleanPodPolicy") {
				l.awaitEvent("LegacyFieldIgnored")
			}
		})
	}
}

// TestLiveDefaults: E3, E9 and unquoted numbers: what others refuse is accepted.
func TestLiveDefaults(t *testing.T) {
	l := newLive(t)
	l.must(l.create(`{spec: {nprocPerNode: 4, pytorchReplicaSpecs: {Master: {}}}}`))
	env := envOf(l.awaitPods("master-0")["master-0"])
	if env["PET_NPROC_PER_NODE"] != "4" || env["WORLD_SIZE"] != "4" || env["MASTER_ADDR"] != "job-master-0" {
		t.Errorf("env: %v", env)
	}
}

// TestLiveWorkersOnly: E9.
func TestLiveWorkersOnly(t *testing.T) {
	l := newLive(t)
	l.must(l.create(`{spec: {pytorchReplicaSpecs: {Worker: {replicas: 3, restartPolicy: Never}}}}`))
	names := []string{"worker-0", "worker-1", "worker-2"}
	pods := l.awaitPods(names...)
	if pods["worker-0"].Labels[LabelJobRole] != "master" || envOf(pods["worker-0"])["MASTER_ADDR"] != "" {
		t.Errorf("worker-0: %v %v", pods["worker-0"].Labels, envOf(pods["worker-0"]))
	}
	l.run(names...)
	l.exit("worker-0", 0)
	l.exit("worker-1", 0)
	l.await("two that have succeeded", func() (bool, any) {
		counts := l.job().Status.ReplicaStatuses[v1.Worker]
		return counts != nil && counts.Succeeded == 2, counts
	})
	l.awaitState(v1.JobRunning)
	l.exit("worker-2", 0)
	l.awaitState(v1.JobSucceeded)
}

// evicted is the condition by which the scheduler says that it takes a pod away.
func evicted(message string) corev1.PodCondition {
	// The cluster's disruption controller takes one back that looks older than two minutes.
	return corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
		LastTransitionTime: metav1.Now(), Reason: corev1.PodReasonPreemptionByScheduler, Message: message}
}

// TestLiveEviction: E17. The program exits with 1 when it is told to go; its peer falls after it.
func TestLiveEviction(t *testing.T) {
	l := newLive(t)
	l.must(l.create(oneAndTwo))
	old := l.awaitPods(oneAndTwoPods...)
	l.bind("worker-1")
	l.run(oneAndTwoPods...)
	l.awaitState(v1.JobRunning)
	l.change("worker-1", func(status *corev1.PodStatus) {
		status.Conditions = append(status.Conditions, evicted(""))
	})
	l.must(l.client.Delete(l.ctx, l.pods()["worker-1"]))
	l.awaitTerminating("worker-1")
	l.exit("worker-1", 1)
	l.exit("worker-0", 1)
	l.awaitState(v1.JobRestarting)
	l.reap(l.pods()["worker-1"])
	l.await("new Workers", func() (bool, any) {
		pods := l.pods()
		return len(pods) == 3 && pods["worker-0"] != nil && pods["worker-0"].UID != old["worker-0"].UID &&
			pods["worker-1"] != nil && pods["worker-1"].UID != old["worker-1"].UID, len(pods)
	})
	l.run("worker-0", "worker-1")
	job := l.awaitState(v1.JobRunning)
	if progress := job.Status.Progress; progress != nil && progress.Restarts != 0 {
		t.Errorf("%d restarts counted", progress.Restarts)
	}
}

// TestLiveShrink: E24. A Worker that leaves gets its notice, and exits with 0.
func TestLiveShrink(t *testing.T) {
	l := newLive(t)
	l.must(l.create(`{spec: {elasticPolicy: {minReplicas: 1, maxReplicas: 3}, pytorchReplicaSpecs: {Worker: {replicas: 2}}}}`))
	l.awaitPods("worker-0", "worker-1")
	l.bind("worker-0", "worker-1")
	l.run("worker-0", "worker-1")
	l.awaitState(v1.JobRunning)
	l.must(l.scale(1))
	leaving := l.awaitTerminating("worker-1")
	if grace := leaving.DeletionGracePeriodSeconds; grace == nil || *grace != 60 {
		t.Errorf("notice: %v", grace)
	}
	l.exit("worker-1", 0)
	l.reap(l.pods()["worker-1"])
	l.awaitPods("worker-0")
	l.await("one active Worker", func() (bool, any) {
		counts := l.job().Status.ReplicaStatuses[v1.Worker]
		return counts.Active == 1 && counts.Succeeded == 0, counts
	})
	l.awaitState(v1.JobRunning)
	l.exit("worker-0", 0)
	l.awaitState(v1.JobSucceeded)
}

// TestLiveMasterDecides: E30, against the order in which news arrive.
func TestLiveMasterDecides(t *testing.T) {
	l := newLive(t)
	l.must(l.create(strings.ReplaceAll(oneAndTwo, "ExitCode", "OnFailure")))
	l.awaitPods(oneAndTwoPods...)
	l.run(oneAndTwoPods...)
	l.awaitState(v1.JobRunning)
	l.exit("master-0", 0)
	l.exit("worker-0", 1)
	l.awaitState(v1.JobSucceeded)
}

// TestLiveYield: what the scheduler takes from above the floor is not asked for again at once (E25; the
// scheduler's part is in test/integration).
func TestLiveYield(t *testing.T) {
	l := newLive(t)
	l.must(l.create(`{spec: {elasticPolicy: {minReplicas: 2, maxReplicas: 4}, pytorchReplicaSpecs: {Worker: {replicas: 4}}}}`))
	names := []string{"worker-0", "worker-1", "worker-2", "worker-3"}
	l.awaitPods(names...)
	l.bind(names...)
	l.run(names...)
	l.awaitState(v1.JobRunning)
	for _, name := range []string{"worker-3", "worker-2"} {
		l.change(name, func(status *corev1.PodStatus) {
			status.Conditions = append(status.Conditions, evicted("room for team/high"))
		})
		l.must(l.client.Delete(l.ctx, l.pods()[name], client.GracePeriodSeconds(60)))
		l.exit(name, 1) // in its grace period
		l.reap(l.awaitTerminating(name))
	}
	l.awaitPods("worker-0", "worker-1")
	l.await("the size in effect", func() (bool, any) {
		progress := l.job().Status.Progress
		return *progress.Workers == 2 && progress.Granted != nil && progress.Granted.Workers == 2, progress
	})
	if message := l.awaitEvent("ScaleClamped"); !strings.Contains(message, "gave way: room for team/high") {
		t.Errorf("event: %s", message)
	}
	l.awaitState(v1.JobRunning)
	l.wantScale(4, 2)
}
