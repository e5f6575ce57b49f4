package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// pace is the time between two steps of TestChurnJobs, so that jobs live to see some.
const pace = 40 * time.Millisecond

// PyTorchJobs of all kinds come and go beside the gangs of TestChurn: they are made,
// deleted, scaled, suspended and resumed, lose pods, and the controller is killed as the
// scheduler is. At the end all that was held up may go on, and what fits is bound.
//
//	go test ./test/integration -run TestChurnJobs -churn-seed=7 -churn-steps=4000
func TestChurnJobs(t *testing.T) {
	t.Cleanup(func() { env.cluster.Controller().Kill() }) // when the history has been judged
	w := newWorld(t, fakenodes.Shape{}, 8)
	c := &jobChurn{churn: newChurn(w)}
	c.startController()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for range *churnSteps / 2 { // they take their time
		if <-tick.C; c.rand.IntN(4) == 0 {
			c.churn.step()
		} else {
			c.step()
		}
	}
	c.release()
	w.awaitNothingFits()
	t.Logf("%d gangs and %d jobs; %d kills of the scheduler, %d of the controller", c.made, c.submitted, c.kills, c.controllerKills)
}

// jobChurn is churn with jobs.
type jobChurn struct {
	*churn
	jobs                       []string // some may be gone
	submitted, controllerKills int
}

func (c *jobChurn) startController() {
	c.t.Helper()
	_, err := env.cluster.StartController(c.ctx, devcluster.ProgramOptions{})
	c.must(err)
}

func (c *jobChurn) step() {
	c.t.Helper()
	chance := c.rand.IntN(1000)
	if len(c.jobs) < 4 || len(c.jobs) < 20 && chance < 400 {
		c.submit()
		return
	}
	i := c.rand.IntN(len(c.jobs))
	job := c.jobs[i]
	switch {
	case chance < 500:
		c.jobs = slices.Delete(c.jobs, i, i+1)
		c.goneOr(env.dynamic.Resource(jobs).Namespace(c.namespace).Delete(c.ctx, job, metav1.DeleteOptions{}))
	case chance < 630:
		c.patchJob(job, fmt.Sprintf(`{"spec":{"runPolicy":{"suspend":%t}}}`, c.rand.IntN(5) < 2))
	case chance < 780:
		c.patchJob(job, fmt.Sprintf(`{"spec":{"replicas":%d}}`, 1+c.rand.IntN(10)), "scale")
	case chance < 970:
		c.killOne()
	case chance < 980:
		c.controllerKills++
		env.cluster.Controller().Kill()
		c.startController()
	default:
		c.jobs = slices.DeleteFunc(c.jobs, func(name string) bool {
			_, err := env.dynamic.Resource(jobs).Namespace(c.namespace).Get(c.ctx, name, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
	}
}

// goneOr fails but for an object that has gone meanwhile.
func (c *jobChurn) goneOr(err error) {
	c.t.Helper()
	if !apierrors.IsNotFound(err) {
		c.must(err)
	}
}

// patchJob changes a job; one of a fixed size has none to change.
func (c *jobChurn) patchJob(name, patch string, subresource ...string) {
	c.t.Helper()
	_, err := env.dynamic.Resource(jobs).Namespace(c.namespace).Patch(c.ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, subresource...)
	if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) {
		c.goneOr(err)
	}
}

// killOne deletes some pod of some job, at once or not.
func (c *jobChurn) killOne() {
	c.t.Helper()
	list, err := env.client.CoreV1().Pods(c.namespace).List(c.ctx, metav1.ListOptions{LabelSelector: "training.kubeflow.org/job-name"})
	c.must(err)
	if len(list.Items) == 0 {
		return
	}
	grace := pick[int64](c.churn, 0, 1, 5)
	name := list.Items[c.rand.IntN(len(list.Items))].Name
	c.goneOr(env.client.CoreV1().Pods(c.namespace).Delete(c.ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &grace}))
}

func (c *jobChurn) submit() {
	c.t.Helper()
	c.submitted++
	name := fmt.Sprint("job-", c.submitted)
	annotations, policy := map[string]any{}, map[string]any{
		"backoffLimit": pick[int64](c.churn, 0, 3, 10), "cleanPodPolicy": pick(c.churn, "None", "Running", "All"),
	}
	switch c.rand.IntN(6) {
	case 0:
		annotations[kube.RequiredTopology] = pick(c.churn, "rack", "host")
	case 1:
		annotations[kube.PreferredTopology] = "rack"
	case 2:
		annotations[kube.Revocable] = "true"
	}
	if c.rand.IntN(2) == 0 {
		policy["schedulingPolicy"] = map[string]any{"queue": pick(c.churn, c.queues...)}
	}
	if c.rand.IntN(3) == 0 {
		policy["ttlSecondsAfterFinished"] = pick[int64](c.churn, 0, 2)
	}
	spec := map[string]any{"runPolicy": policy}
	class, workers := pick(c.churn, c.classes...), 1+c.rand.Int64N(6)
	if c.rand.IntN(3) == 0 {
		spec["elasticPolicy"] = map[string]any{"minReplicas": 1 + c.rand.Int64N(workers), "maxReplicas": workers + c.rand.Int64N(4), "rdzvBackend": "c10d"}
		spec["pytorchReplicaSpecs"] = map[string]any{"Worker": c.replicas(workers, "OnFailure", class)}
		if c.rand.IntN(2) == 0 {
			annotations["lockstep.dev/autoscale"], annotations["lockstep.dev/resize-cooldown"] = "cluster", "2s"
		}
	} else {
		restart := pick(c.churn, "OnFailure", "Never", "ExitCode", "Always")
		roles := map[string]any{"Master": c.replicas(1, restart, class)}
		if c.rand.IntN(5) > 0 {
			roles["Worker"] = c.replicas(workers, restart, class)
		}
		spec["pytorchReplicaSpecs"] = roles
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": map[string]any{"name": name, "annotations": annotations}, "spec": spec,
	}}
	_, err := env.dynamic.Resource(jobs).Namespace(c.namespace).Create(c.ctx, object, metav1.CreateOptions{})
	c.must(err)
	c.jobs = append(c.jobs, name)
}

// replicas are so many pods of a role, which run for a while and may fail.
func (c *jobChurn) replicas(n int64, restart, class string) map[string]any {
	annotations := map[string]any{fakenodes.RunForAnnotation: pick(c.churn, "500ms", "2s", "5s", "20s")}
	if c.rand.IntN(8) == 0 {
		annotations[fakenodes.ExitCodeAnnotation] = "1"
	}
	pod := map[string]any{
		"nodeSelector": map[string]any{poolLabel: c.namespace},
		"containers": []any{map[string]any{"name": "pytorch", "image": "example.test/train:1", "resources": map[string]any{
			"limits": map[string]any{"nvidia.com/gpu": pick(c.churn, "0", "1", "1", "2", "4", "8")},
		}}},
	}
	if class != "" {
		pod["priorityClassName"] = class
	}
	return map[string]any{"replicas": n, "restartPolicy": restart, "template": map[string]any{
		"metadata": map[string]any{"annotations": annotations}, "spec": pod,
	}}
}

// release lets all go on that was held up.
func (c *jobChurn) release() {
	c.t.Helper()
	c.churn.release()
	for _, job := range c.jobs {
		c.patchJob(job, `{"spec":{"runPolicy":{"suspend":false}}}`)
	}
}
