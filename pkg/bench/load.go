package bench

import (
	"cmp"
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// load is what a turn is given to place: equal gangs of equal pods.
type load struct {
	Shape
	// gpus of a pod; 0: it asks for a processor alone.
	gpus int
	// required and preferred are levels of the stage's topology; "": none.
	required, preferred string
	// floor is the number of pods without which a gang is of no use; 0: all.
	floor int
	// priority is a PriorityClass; "": none.
	priority string
}

// least is a gang's floor, as group objects have it.
func (l load) least() int64 { return int64(cmp.Or(l.floor, l.Size)) }

// What the ceiling reads, on everybody's pods: a node for the pod, such that all
// pods can be on theirs, and its gang with the gang's size.
const (
	answerAnnotation = "bench.lockstep.dev/answer"
	gangAnnotation   = "bench.lockstep.dev/gang"
	sizeAnnotation   = "bench.lockstep.dev/size"
)

// levels of a stage with the pods that one of their domains takes when it is empty.
func (s *stage) levels(gpus int) []struct {
	name string
	pods int
} {
	node := s.podsPerNode(gpus)
	rack := s.shape.RackSize * node
	return []struct {
		name string
		pods int
	}{{"rack", rack}, {"block", s.shape.RacksPerBlock * rack}}
}

func (s *stage) podsPerNode(gpus int) int { return s.shape.GPUs / max(1, gpus) }

// require makes each gang ask for the lowest level, from the rack upward, that can
// hold it.
func (s *stage) require(l load) load {
	for _, level := range s.levels(l.gpus) {
		if l.Size <= level.pods {
			l.required = level.name
			break
		}
	}
	return l
}

// answer is the node of a member in an assignment that puts gangs one after the
// other, without one of them across the border of the level that it requires; ""
// where the stage has no such node.
func (s *stage) answer(l load, gang, member int) string {
	perNode := s.podsPerNode(l.gpus)
	if perNode == 0 {
		return ""
	}
	slot := gang*l.Size + member
	for _, level := range s.levels(l.gpus) {
		if level.name == l.required {
			per := level.pods / l.Size
			slot = gang/per*level.pods + gang%per*l.Size + member
		}
	}
	if slot/perNode >= s.nodes {
		return ""
	}
	return fakenodes.NodeName(slot / perNode)
}

// check says whether the load can be placed on the empty stage.
func (s *stage) check(l load) error {
	if s.answer(l, l.Gangs-1, l.Size-1) == "" {
		return fmt.Errorf("%d gangs of %d pods with %d GPUs do not fit on %d nodes of %d GPUs; a throughput needs all of them placed",
			l.Gangs, l.Size, l.gpus, s.nodes, s.shape.GPUs)
	}
	return nil
}

// loads are those of shapes, each of which can be placed on the empty stage.
func (s *stage) loads(shapes []Shape, of func(Shape) load) ([]load, error) {
	var loads []load
	for _, shape := range shapes {
		l := of(shape)
		if err := s.check(l); err != nil {
			return nil, err
		}
		loads = append(loads, l)
	}
	return loads, nil
}

// pods of one gang.
func (l load) pods(gang int) []place {
	return l.gangByGang()[gang*l.Size : (gang+1)*l.Size]
}

func podName(gang, member int) string { return fmt.Sprintf("gang-%04d-%d", gang, member) }
func gangName(gang int) string        { return fmt.Sprintf("gang-%04d", gang) }

// createGroups creates the objects that bind gangs together; where the scheduler
// knows no gangs, nothing.
func (t *turn) createGroups(ctx context.Context, l load) error {
	if t.contestant.group == nil {
		return nil
	}
	return parallel(ctx, l.Gangs, func(i int) error {
		group := t.contestant.group(gangName(i), l)
		object := &unstructured.Unstructured{Object: group.object}
		_, err := t.dynamic.Resource(group.resource).Namespace(t.namespace).Create(ctx, object, metav1.CreateOptions{})
		return err
	})
}

// place is a pod of a load.
type place struct{ gang, member int }

// gangByGang is the order in which one gang is created after the other.
func (l load) gangByGang() []place {
	var order []place
	for g := range l.Gangs {
		for m := range l.Size {
			order = append(order, place{g, m})
		}
	}
	return order
}

// interleaved is the order in which each gang gets its first pod, then each its second.
func (l load) interleaved() []place {
	var order []place
	for m := range l.Size {
		for g := range l.Gangs {
			order = append(order, place{g, m})
		}
	}
	return order
}

// createPods creates pods in about the given order, several at a time.
func (t *turn) createPods(ctx context.Context, l load, order []place) error {
	t.mu.Lock()
	for _, p := range order {
		t.created[podName(p.gang, p.member)] = time.Time{}
	}
	t.mu.Unlock()
	return parallel(ctx, len(order), func(i int) error {
		pod := t.pod(l, order[i])
		_, err := t.client.CoreV1().Pods(t.namespace).Create(ctx, pod, metav1.CreateOptions{})
		t.mu.Lock()
		t.created[pod.Name] = time.Now()
		t.mu.Unlock()
		return err
	})
}

func (t *turn) pod(l load, p place) *v1.Pod {
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:   podName(p.gang, p.member),
			Labels: map[string]string{"training.kubeflow.org/replica-index": fmt.Sprint(p.member)},
			Annotations: map[string]string{
				answerAnnotation: t.answer(l, p.gang, p.member), gangAnnotation: gangName(p.gang), sizeAnnotation: fmt.Sprint(l.Size),
			},
		},
		Spec: v1.PodSpec{
			SchedulerName:     t.contestant.podsName,
			PriorityClassName: l.priority,
			Containers:        containers(l.gpus),
		},
	}
	if t.contestant.join != nil {
		t.contestant.join(pod, gangName(p.gang))
	}
	return pod
}

// containers of a pod with one processor and some GPUs.
func containers(gpus int) []v1.Container {
	limits := v1.ResourceList{v1.ResourceCPU: resource.MustParse("1"), v1.ResourceMemory: resource.MustParse("1Gi")}
	if gpus > 0 {
		limits[fakenodes.GPUResource] = *resource.NewQuantity(int64(gpus), resource.DecimalSI)
	}
	return []v1.Container{{Name: "main", Image: "bench.test/none:1", Resources: v1.ResourceRequirements{Limits: limits}}}
}

// outcome is what has become of one gang.
type outcome struct {
	bound       int
	created     time.Time // the last of its pods
	first, last time.Time // binds
	nodes       spread
}

// outcomes are those of all gangs of a load.
func (t *turn) outcomes(l load) []outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]outcome, l.Gangs)
	for g := range list {
		o := &list[g]
		o.nodes = spread{}
		for m := range l.Size {
			name := podName(g, m)
			if at := t.created[name]; at.After(o.created) {
				o.created = at
			}
			b, bound := t.bound[name]
			if !bound {
				continue
			}
			o.nodes[t.place[b.node]]++
			if o.bound == 0 || b.at.Before(o.first) {
				o.first = b.at
			}
			if b.at.After(o.last) {
				o.last = b.at
			}
			o.bound++
		}
	}
	return list
}
