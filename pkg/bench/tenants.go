package bench

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/preemption"
)

// tenant is a gang that runs before a turn begins.
type tenant struct {
	name        string
	gpus, floor int
	nodes       []int // of each member
	age         time.Duration
}

// tenants fill all nodes with gangs of mixed sizes; one that is there in several has
// members next to each other or all over the cluster, and every third can do with half
// of them. The same seed gives the same gangs.
func tenants(nodes int, seed int64) []tenant {
	random := rand.New(rand.NewSource(seed))
	free := slices.Repeat([]int{gpusPerNode}, nodes)
	var list []tenant
	for left := nodes * gpusPerNode; left > 0; {
		size, gpus := 1<<random.Intn(5), 1<<random.Intn(3)
		order := random.Perm(nodes)
		if random.Intn(2) == 0 {
			slices.Sort(order)
		}
		places := fill(slices.Clone(free), order, size, gpus)
		for places == nil {
			if size, gpus = size/2, max(1, gpus/2); size == 0 {
				size = 1
			}
			places = fill(slices.Clone(free), order, size, gpus)
		}
		t := tenant{
			name: fmt.Sprintf("tenant-%03d", len(list)), gpus: gpus, floor: size, nodes: places,
			age: time.Minute + time.Duration(random.Int63n(int64(10*time.Hour))).Truncate(time.Second),
		}
		if len(list)%3 == 2 {
			t.floor = (size + 1) / 2
		}
		for _, node := range places {
			free[node] -= gpus
			left -= gpus
		}
		list = append(list, t)
	}
	return list
}

// fill places pods on the first nodes in order that have room; nil if not all have any.
func fill(free, order []int, pods, gpus int) []int {
	var places []int
	for _, node := range order {
		for len(places) < pods && free[node] >= gpus {
			free[node] -= gpus
			places = append(places, node)
		}
	}
	if len(places) < pods {
		return nil
	}
	return places
}

// tenancy is the tenants of a turn and what becomes of them. It stands in for the
// kubelets: a pod that is evicted takes a while to go.
type tenancy struct {
	t       *turn
	list    []tenant
	started time.Time
	grace   time.Duration

	mu      sync.Mutex
	evicted map[string]time.Time // by pod
}

func (t tenant) pod(member int) string { return fmt.Sprintf("%s-%d", t.name, member) }

// settle makes the tenants run.
func (t *turn) settle(ctx context.Context, list []tenant, grace time.Duration) (*tenancy, error) {
	y := &tenancy{t: t, list: list, grace: grace, started: time.Now(), evicted: map[string]time.Time{}}
	t.watchPods(func(pod *v1.Pod, _ bool) { y.see(ctx, pod) })
	err := parallel(ctx, len(list), func(i int) error {
		if t.contestant.group == nil {
			return nil
		}
		group := t.contestant.group(list[i].name, load{Shape: Shape{1, len(list[i].nodes)}, gpus: list[i].gpus, floor: list[i].floor})
		_, err := t.dynamic.Resource(group.resource).Namespace(t.namespace).
			Create(ctx, &unstructured.Unstructured{Object: group.object}, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	type member struct{ tenant, index int }
	var members []member
	for i := range list {
		for m := range list[i].nodes {
			members = append(members, member{i, m})
		}
	}
	return y, parallel(ctx, len(members), func(i int) error { return y.run(ctx, list[members[i].tenant], members[i].index) })
}

// run makes one pod that has run for its age.
func (y *tenancy) run(ctx context.Context, t tenant, member int) error {
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: t.pod(member), Labels: map[string]string{"training.kubeflow.org/replica-index": fmt.Sprint(member)}},
		Spec: v1.PodSpec{
			SchedulerName: y.t.contestant.podsName, NodeName: fakenodes.NodeName(t.nodes[member]), Containers: containers(t.gpus),
		},
	}
	if y.t.contestant.join != nil {
		y.t.contestant.join(pod, t.name)
	}
	pods := y.t.client.CoreV1().Pods(y.t.namespace)
	pod, err := pods.Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	since := metav1.NewTime(y.started.Add(-t.age))
	pod.Status.Phase, pod.Status.StartTime = v1.PodRunning, &since
	for _, kind := range []v1.PodConditionType{v1.PodScheduled, v1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, v1.PodCondition{Type: kind, Status: v1.ConditionTrue, LastTransitionTime: since})
	}
	_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return err
}

// see lets a pod go a while after it was evicted.
func (y *tenancy) see(ctx context.Context, pod *v1.Pod) {
	if pod.DeletionTimestamp == nil || pod.Spec.NodeName == "" {
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if _, known := y.evicted[pod.Name]; known {
		return
	}
	y.evicted[pod.Name] = time.Now()
	time.AfterFunc(y.grace, func() {
		now := int64(0)
		// An error means that the turn is over, or that the pod has gone.
		_ = y.t.client.CoreV1().Pods(y.t.namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	})
}

// staying are the members of each tenant that nobody has evicted.
func (y *tenancy) staying() [][]int {
	y.mu.Lock()
	defer y.mu.Unlock()
	list := make([][]int, len(y.list))
	for i, t := range y.list {
		for m := range t.nodes {
			if _, gone := y.evicted[t.pod(m)]; !gone {
				list[i] = append(list[i], m)
			}
		}
	}
	return list
}

// toll is the number of pods that were evicted, the GPU-seconds that they had run for,
// and those with what is left of tenants that have ended by it.
func (y *tenancy) toll() (pods int, evicted, lost float64) {
	staying := y.staying()
	y.mu.Lock()
	defer y.mu.Unlock()
	for i, t := range y.list {
		for m := range t.nodes {
			at, gone := y.evicted[t.pod(m)]
			switch {
			case gone:
				pods++
				evicted += float64(t.gpus) * (at.Sub(y.started) + t.age).Seconds()
			case len(staying[i]) < t.floor:
				lost += float64(t.gpus) * t.age.Seconds()
			}
		}
	}
	return pods, evicted, evicted + lost
}

// fewest is the fewest tenants that have to end so that the gangs of a load get their
// places one after the other, and whether it is certain that fewer do not do.
func fewest(list []tenant, nodes int, l load) (ends int, exact bool, err error) {
	free := make([]int, nodes)
	staying := make([][]int, len(list))
	for i := range list {
		for m := range list[i].nodes {
			staying[i] = append(staying[i], m)
		}
	}
	exact = true
	for range l.Gangs {
		p := newPlanning(free)
		var candidates []preemption.Candidate
		for i, t := range list {
			c := preemption.Candidate{Gang: gang.Key{Namespace: "bench", Name: t.name}, Floor: t.floor}
			for _, m := range staying[i] {
				c.Pods = append(c.Pods, preemption.Pod{
					Node: t.nodes[m], Requests: cluster.Resources{}.Set(p.gpu, int64(t.gpus)), Lost: int64(t.gpus) * int64(t.age/time.Second),
				})
			}
			candidates = append(candidates, c)
		}
		choice, rejection := preemption.Search(p.index, p.request(l.Size, l.gpus), candidates, preemption.Options{Priority: 1})
		if rejection != nil {
			return 0, false, fmt.Errorf("%d pods of %d GPUs do not fit with all tenants gone", l.Size, l.gpus)
		}
		exact = exact && choice.Exact
		for _, v := range choice.Victims {
			if v.Whole {
				ends++
			}
			t := list[v.Candidate]
			for _, place := range slices.Backward(v.Pods) {
				free[t.nodes[staying[v.Candidate][place]]] += t.gpus
				staying[v.Candidate] = slices.Delete(staying[v.Candidate], place, place+1)
			}
		}
		for _, share := range choice.Plan.Shares {
			free[share.Node] -= share.Counts[0] * l.gpus
		}
	}
	return ends, exact, nil
}
