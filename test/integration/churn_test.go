package integration

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

var (
	churnSeed  = flag.Uint64("churn-seed", 1, "what TestChurn and TestChurnJobs do")
	churnSteps = flag.Int("churn-steps", 400, "how much of it")
)

// Gangs of all kinds come and go on a cluster that is always full, nodes are cordoned,
// floors, caps and pods change, and the scheduler is killed now and then. Nothing is
// expected but that all that must hold does, which the history says, and that at the
// end what fits is bound.
//
//	go test ./test/integration -run TestChurn -churn-seed=7 -churn-steps=4000
func TestChurn(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 8)
	c := newChurn(w)
	for range *churnSteps {
		c.step()
	}
	c.release()
	w.awaitNothingFits()
	t.Logf("%d gangs, %d kills of the scheduler", c.made, c.kills)
}

// churn is what happens on the cluster, by chance.
type churn struct {
	*world
	rand            *rand.Rand
	classes, queues []string
	gangs           []gangSpec
	made, kills     int
}

func newChurn(w *world) *churn {
	w.t.Helper()
	return &churn{
		world: w, rand: rand.New(rand.NewPCG(*churnSeed, 0)),
		classes: []string{"", w.priority(10), w.priority(20)}, queues: []string{w.queue("a", "16", "40"), w.queue("b", "8", "")},
	}
}

// release lets all nodes be used again.
func (c *churn) release() {
	c.t.Helper()
	for _, node := range c.nodes {
		c.cordon(node, false)
	}
}

func (c *churn) step() {
	c.t.Helper()
	chance := c.rand.IntN(1000)
	switch {
	case len(c.gangs) < 5 || len(c.gangs) < 30 && chance < 350:
		c.add()
	case chance < 500:
		i := c.rand.IntN(len(c.gangs))
		c.deleteGang(c.gangs[i].name)
		c.gangs = slices.Delete(c.gangs, i, i+1)
	case chance < 700:
		c.kill(c.gangs[c.rand.IntN(len(c.gangs))])
	case chance < 850:
		c.complete(c.gangs[c.rand.IntN(len(c.gangs))])
	case chance < 910:
		g := c.gangs[c.rand.IntN(len(c.gangs))]
		c.patchGroup(g.name, fmt.Sprintf(`{"spec":{"minMember":%d}}`, 1+c.rand.IntN(g.members[0].count)))
	case chance < 960:
		c.cordon(c.nodes[c.rand.IntN(len(c.nodes))], c.rand.IntN(3) == 0)
	case chance < 990:
		c.limit(c.queues[c.rand.IntN(len(c.queues))])
	default:
		c.kills++
		env.cluster.Scheduler().Kill()
		_, err := env.cluster.StartScheduler(c.ctx, devcluster.ProgramOptions{})
		c.must(err)
	}
}

// pick is one of a few.
func pick[T any](c *churn, of ...T) T { return of[c.rand.IntN(len(of))] }

func (c *churn) add() {
	c.made++
	size := 1 + c.rand.IntN(6)
	g := gangOf(fmt.Sprint("gang-", c.made), size, pick(c, "1", "1", "2", "4", "8")).withPriority(pick(c, c.classes...))
	g.floor = 1 + c.rand.IntN(size)
	g.members[0].runFor = pick(c, "", "1s", "3s", "10s")
	g.annotations, g.labels = map[string]string{}, map[string]string{}
	switch c.rand.IntN(5) {
	case 0:
		g.annotations[kube.RequiredTopology] = pick(c, "rack", "host")
	case 1:
		g.annotations[kube.PreferredTopology] = "rack"
	case 2:
		g.annotations[kube.Revocable] = "true"
	}
	if c.rand.IntN(2) == 0 {
		g.labels[kube.QueueLabel] = pick(c, c.queues...)
	}
	c.create(g)
	c.gangs = append(c.gangs, g)
}

// kill deletes one pod, at once or not, if it is there.
func (c *churn) kill(g gangSpec) {
	c.t.Helper()
	grace := pick[int64](c, 0, 1, 30)
	name := fmt.Sprintf("%s-worker-%d", g.name, c.rand.IntN(g.members[0].count))
	err := env.client.CoreV1().Pods(c.namespace).Delete(c.ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &grace})
	if !apierrors.IsNotFound(err) {
		c.must(err)
	}
}

// complete creates the pods that a gang lacks, as its controller would.
func (c *churn) complete(g gangSpec) {
	c.t.Helper()
	for _, pod := range c.pods(g) {
		_, err := env.client.CoreV1().Pods(c.namespace).Create(c.ctx, pod, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			c.must(err)
		}
	}
}

func (c *churn) cordon(node string, cordoned bool) {
	c.t.Helper()
	_, err := env.client.CoreV1().Nodes().Patch(context.WithoutCancel(c.ctx), node, types.MergePatchType,
		fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, cordoned), metav1.PatchOptions{})
	c.must(err)
}

// limit changes what a queue is guaranteed, and its cap.
func (c *churn) limit(queue string) {
	c.t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"resources":[{"name":"nvidia.com/gpu","guaranteed":%d,"cap":%d}]}}`, 8*c.rand.IntN(3), 16+8*c.rand.IntN(4))
	_, err := env.dynamic.Resource(lockstepv1alpha1.Queues).Patch(c.ctx, queue, types.MergePatchType, patch, metav1.PatchOptions{})
	c.must(err)
}
