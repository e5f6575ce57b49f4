package controller

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/devcluster"
)

// TestScaleToBound measures the time from a write to /scale to the node of the new member, with the
// shipped controller and scheduler. It has to be asked for, by how many times to do it:
//
//	LOCKSTEP_RESIZES=30 go test ./pkg/controller -run TestScaleToBound -v
func TestScaleToBound(t *testing.T) {
	times, _ := strconv.Atoi(os.Getenv("LOCKSTEP_RESIZES"))
	if times < 1 {
		t.Skip("set LOCKSTEP_RESIZES to a number, such as 30")
	}
	cluster, c := scaleCluster(t, devcluster.Options{Nodes: times/8 + 1, Scheduler: true, Controller: true})
	job := parseJob(t, fmt.Sprintf(`{spec: {elasticPolicy: {minReplicas: 1, maxReplicas: %d, maxRestarts: 10}, pytorchReplicaSpecs: {Worker: {replicas: 1}}}}`, times+1))
	job.Namespace = "default"
	trainer := v1.Trainer(&job.Spec.PyTorchReplicaSpecs[v1.Worker].Template.Spec)
	trainer.Resources.Limits = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}
	if err := c.Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	events, err := cluster.Client().CoreV1().Pods("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	awaitBound := func(index int) {
		name := v1.PodName(job.Name, v1.Worker, int32(index))
		for event := range events.ResultChan() {
			if pod, ok := event.Object.(*corev1.Pod); ok && pod.Name == name && pod.Spec.NodeName != "" {
				return
			}
		}
	}
	awaitBound(0)
	var took []time.Duration
	for n := 1; n <= times; n++ {
		begin := time.Now()
		patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n+1))
		if err := c.SubResource("scale").Patch(t.Context(), job.DeepCopy(), patch, client.WithSubResourceBody(&autoscalingv1.Scale{})); err != nil {
			t.Fatal(err)
		}
		awaitBound(n)
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	t.Logf("from /scale to the node of the new member, %d times: median %s, longest %s",
		times, took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
}
