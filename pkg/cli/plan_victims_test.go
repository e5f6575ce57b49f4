package cli

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// fullCluster is a random cluster that others run on, and a gang that wants in.
type fullCluster struct {
	racks   []int // by node; each has eight GPUs
	jobs    []runningJob
	members int // of the gang, alike
	gpus    int
	rack    bool // in one rack or nowhere
	budget  int  // how many pods of the protected jobs may go
}

type runningJob struct {
	priority  int
	floor     int // 0: a pod without a gang
	pods      []runningPod
	protected bool
	master    bool // the first pod is one
}

type runningPod struct{ node, gpus int }

func newFullCluster(r *rand.Rand) fullCluster {
	c := fullCluster{members: 1 + r.IntN(4), gpus: 1 + r.IntN(8), rack: r.IntN(3) == 0, budget: r.IntN(3)}
	free := make([]int, 2+r.IntN(4))
	for i := range free {
		free[i] = 8
		c.racks = append(c.racks, r.IntN(2))
	}
	pods := 0
	for range 12 {
		j := runningJob{priority: r.IntN(3), protected: r.IntN(4) == 0, master: r.IntN(3) == 0}
		size := 1
		if r.IntN(2) == 0 {
			size += r.IntN(4)
			j.floor = 1 + r.IntN(size)
		}
		gpus := 1 + r.IntN(4)
		for range size {
			if node := r.IntN(len(free)); free[node] >= gpus && pods < 13 {
				free[node] -= gpus
				j.pods = append(j.pods, runningPod{node, gpus})
				pods++
			}
		}
		if j.floor == 0 && len(j.pods) > 0 || len(j.pods) >= j.floor && j.floor > 0 {
			c.jobs = append(c.jobs, j)
		}
	}
	return c
}

func (c fullCluster) manifests(r *rand.Rand) string {
	var documents []string
	add := func(format string, args ...any) { documents = append(documents, fmt.Sprintf(format, args...)) }
	for i, rack := range c.racks {
		add("apiVersion: v1\nkind: Node\nmetadata: {name: n%d, labels: {topology.lockstep.dev/rack: r%d}}\n"+
			"status: {allocatable: {nvidia.com/gpu: 8, cpu: 64, pods: 110}}\n", i, rack)
	}
	for priority := range 3 {
		add("apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: p%d}\nvalue: %d\n", priority, priority*100)
	}
	for i, j := range c.jobs {
		for k, pod := range j.pods {
			labels := fmt.Sprintf("protected: %q", fmt.Sprint(j.protected))
			if j.floor > 0 {
				labels += fmt.Sprintf(", scheduling.x-k8s.io/pod-group: j%d, training.kubeflow.org/replica-index: %q", i, fmt.Sprint(k))
			}
			if j.master && j.floor > 0 && k == 0 {
				labels += ", training.kubeflow.org/replica-type: master"
			} else if j.floor > 0 {
				labels += ", training.kubeflow.org/replica-type: worker"
			}
			add("apiVersion: v1\nkind: Pod\nmetadata: {name: j%d-%d, labels: {%s}}\n"+
				"spec: {nodeName: n%d, priorityClassName: p%d, containers: [{name: c, resources: {limits: {nvidia.com/gpu: %d}}}]}\n",
				i, k, labels, pod.node, j.priority, pod.gpus)
		}
		if j.floor > 0 {
			add("apiVersion: scheduling.x-k8s.io/v1alpha1\nkind: PodGroup\nmetadata: {name: j%d}\nspec: {minMember: %d}\n", i, j.floor)
		}
	}
	protected := 0
	for _, j := range c.jobs {
		if j.protected {
			protected += len(j.pods)
		}
	}
	add("apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: protected}\n"+
		"spec: {minAvailable: %d, selector: {matchLabels: {protected: \"true\"}}}\n", max(0, protected-c.budget))
	annotations := ""
	if c.rack {
		annotations = ", annotations: {lockstep.dev/topology-required: rack}"
	}
	add("apiVersion: scheduling.x-k8s.io/v1alpha1\nkind: PodGroup\nmetadata: {name: g%s}\nspec: {minMember: %d}\n", annotations, c.members)
	for i := range c.members {
		add("apiVersion: v1\nkind: Pod\nmetadata: {name: g-%d, labels: {scheduling.x-k8s.io/pod-group: g}}\n"+
			"spec: {priorityClassName: p2, containers: [{name: c, resources: {limits: {nvidia.com/gpu: %d}}}]}\n", i, c.gpus)
	}
	r.Shuffle(len(documents), func(i, j int) { documents[i], documents[j] = documents[j], documents[i] })
	return strings.Join(documents, "---\n")
}

// fits says whether the gang fits once pods are gone, given by job as bits.
func (c fullCluster) fits(gone []int) bool {
	free := slices.Repeat([]int{8}, len(c.racks))
	for i, j := range c.jobs {
		for k, pod := range j.pods {
			if gone[i]&(1<<k) == 0 {
				free[pod.node] -= pod.gpus
			}
		}
	}
	rooms := map[int]int{}
	for node, rack := range c.racks {
		if !c.rack {
			rack = 0
		}
		rooms[rack] += free[node] / c.gpus
	}
	return rooms[0] >= c.members || rooms[1] >= c.members
}

// toll is what victims cost: violations of the budget, the highest priority, whole jobs,
// surplus pods.
func (c fullCluster) toll(gone []int) [4]int {
	toll := [4]int{1: -1}
	protected := 0
	for i, j := range c.jobs {
		n := 0
		for k := range j.pods {
			n += gone[i] >> k & 1
		}
		if n == 0 {
			continue
		}
		if j.protected {
			protected += n
		}
		toll[1] = max(toll[1], j.priority)
		if n == len(j.pods) {
			toll[2]++
		} else {
			toll[3] += n
		}
	}
	toll[0] = max(0, protected-c.budget)
	return toll
}

// cheapest tries every choice of victims; not ok where none is of use.
func (c fullCluster) cheapest() (best [4]int, ok bool) {
	gone := make([]int, len(c.jobs))
	var choose func(i int)
	choose = func(i int) {
		if i == len(c.jobs) {
			if toll := c.toll(gone); (!ok || slices.Compare(toll[:], best[:]) < 0) && c.fits(gone) {
				best, ok = toll, true
			}
			return
		}
		for bits := range 1 << len(c.jobs[i].pods) {
			if c.allows(c.jobs[i], bits) {
				gone[i] = bits
				choose(i + 1)
			}
		}
		gone[i] = 0
	}
	choose(0)
	return best, ok
}

// allows says whether these pods of a job may go and the others stay.
func (c fullCluster) allows(j runningJob, bits int) bool {
	all := 1<<len(j.pods) - 1
	left := 0
	for k := range j.pods {
		left += (all &^ bits) >> k & 1
	}
	switch {
	case bits == 0:
		return true
	case j.priority >= 2:
		return false
	case bits == all:
		return true
	}
	return j.floor > 0 && left >= j.floor && !(j.master && bits&1 != 0)
}

// The victims that the command names are the fewest and cheapest that trying everything
// finds, as the manifests have priorities, floors, roles and budgets.
func TestVictimsAreWhatTryingEverythingFinds(t *testing.T) {
	evicted, never := 0, 0
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 31))
		c := newFullCluster(r)
		manifests := c.manifests(r)
		plan, _ := planned(t, manifests, "--preempt")
		want, ok := c.cheapest()
		if plan.Fits != ok {
			t.Fatalf("seed %d: fits is %t, want %t\n%s", seed, plan.Fits, ok, manifests)
		}
		if !ok {
			never++
			continue
		}
		gone := make([]int, len(c.jobs))
		for _, v := range plan.Victims {
			for _, name := range v.Pods {
				var job, pod int
				if _, err := fmt.Sscanf(name, "j%d-%d", &job, &pod); err != nil {
					t.Fatal(err)
				}
				gone[job] |= 1 << pod
				if v.Partial == (len(v.Pods) == len(c.jobs[job].pods)) {
					t.Fatalf("seed %d: %+v of %d pods", seed, v, len(c.jobs[job].pods))
				}
			}
		}
		if got := c.toll(gone); got != want || !c.fits(gone) {
			t.Fatalf("seed %d: toll %v, the least is %v: %+v\n%s", seed, got, want, plan.Victims, manifests)
		}
		for i, j := range c.jobs {
			if !c.allows(j, gone[i]) {
				t.Fatalf("seed %d: job %d may not lose %b", seed, i, gone[i])
			}
		}
		evicted += len(plan.Victims)
	}
	if evicted < 60 || never < 20 {
		t.Errorf("%d victims, %d without help: the sample says little", evicted, never)
	}
}
