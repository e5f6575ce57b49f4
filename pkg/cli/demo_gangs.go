package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	schedulingv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

const (
	gangSize = 12   // pods, each with all GPUs of a node: more than half of the nodes
	runFor   = "4s" // at least: the first runs on until the other has said why it waits
)

var podGroupResource = schedulingv1alpha1.SchemeGroupVersion.WithResource("podgroups")

// twoGangs is the second act: two gangs that do not fit at the same time, their
// pods created in turns, as two jobs do that start together.
func (d *demo) twoGangs(ctx context.Context) ([]*result, error) {
	d.screen.begin("Two gangs that do not fit together")
	d.screen.say("gang-a and gang-b: %d pods each, each pod %d GPUs: %d GPUs of the %d there are",
		gangSize, gpusPerNode, 2*gangSize*gpusPerNode, fakeNodes*gpusPerNode)
	race := &gangRace{demo: d, boards: map[string]*board{}}
	for _, name := range []string{"gang-a", "gang-b"} {
		race.boards[name] = newBoard(name, gangSize)
	}
	if err := race.create(ctx); err != nil {
		return nil, err
	}
	d.screen.say("pods created in turns: gang-a-0, gang-b-0, gang-a-1, ...")
	if err := race.watch(ctx); err != nil {
		return nil, d.explain(err, slices.Collect(maps.Values(race.boards))...)
	}
	return race.results(), nil
}

// gangRace is the demo's view of the two gangs.
type gangRace struct {
	*demo
	boards  map[string]*board
	order   []*board // in which they became whole
	endings int      // of those, how many have been told to end
}

func (r *gangRace) create(ctx context.Context) error {
	names := slices.Sorted(maps.Keys(r.boards))
	for _, name := range names {
		group, err := podGroup(name)
		if err != nil {
			return err
		}
		if _, err := r.dynamic.Resource(podGroupResource).Namespace(namespace).Create(ctx, group, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create PodGroup %s: %w", name, err)
		}
	}
	for i := range gangSize {
		for _, name := range names {
			pod := gangPod(name, i)
			if _, err := r.core.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
				return fmt.Errorf("create pod %s: %w", pod.Name, err)
			}
		}
	}
	return nil
}

func podGroup(name string) (*unstructured.Unstructured, error) {
	group := &schedulingv1alpha1.PodGroup{
		TypeMeta:   metav1.TypeMeta{APIVersion: schedulingv1alpha1.SchemeGroupVersion.String(), Kind: "PodGroup"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec:       schedulingv1alpha1.PodGroupSpec{MinMember: gangSize},
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(group)
	return &unstructured.Unstructured{Object: object}, err
}

func gangPod(gang string, index int) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:      fmt.Sprintf("%s-%d", gang, index),
			Namespace: namespace,
			Labels: map[string]string{
				schedulingv1alpha1.PodGroupLabel: gang,
				appsv1.PodIndexLabel:             strconv.Itoa(index), // its rank
			},
		},
		Spec: corev1.PodSpec{
			SchedulerName: schedulerName,
			NodeSelector:  map[string]string{fakenodes.TypeLabel: fakenodes.TypeKwok},
			RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{{
				Name: "train", Image: "train",
				Resources: corev1.ResourceRequirements{
					Limits: corev1.ResourceList{fakenodes.GPUResource: *resource.NewQuantity(gpusPerNode, resource.DecimalSI)},
				},
			}},
		},
	}
}

// watch tells what happens until both gangs have run.
func (r *gangRace) watch(ctx context.Context) error {
	for {
		report, err := r.next(ctx)
		if err != nil {
			return err
		}
		if report.gone || report.pod == nil {
			continue
		}
		b := r.boards[report.pod.Labels[schedulingv1alpha1.PodGroupLabel]]
		if b == nil {
			continue
		}
		for _, change := range b.see(report.pod, report.at) {
			if err := r.tell(b, change); err != nil {
				return err
			}
		}
		if err := r.end(ctx); err != nil {
			return err
		}
		if len(r.order) == len(r.boards) && !r.order[0].ended.IsZero() && !r.order[1].ended.IsZero() {
			return nil
		}
	}
}

// end lets the next gang's work end that is not needed any longer: the first's when
// the other has said why it waits, however slow the machine, and then the other's.
func (r *gangRace) end(ctx context.Context) error {
	if r.endings == len(r.order) || r.endings == 0 && !r.somebodyWaits() {
		return nil
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, fakenodes.RunForAnnotation, runFor)
	for _, m := range r.order[r.endings].sorted() {
		_, err := r.core.CoreV1().Pods(namespace).Patch(ctx, m.name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil {
			return fmt.Errorf("let pod %s end: %w", m.name, err)
		}
	}
	r.endings++
	return nil
}

// somebodyWaits reports whether a gang that is not whole has said why.
func (r *gangRace) somebodyWaits() bool {
	for _, b := range r.boards {
		if b.bound.IsZero() && len(b.reasons) > 0 {
			return true
		}
	}
	return false
}

// tell prints a change, and fails where it breaks the promise of a gang.
func (r *gangRace) tell(b *board, change news) error {
	s := r.screen
	switch change {
	case gangWhole:
		s.say("%s %s %s whole: %d of %d pods bound, first to last in %s", s.bar(b.boundCount(), b.size), s.name(b.name),
			s.good("is"), b.boundCount(), b.size, brief(b.bound.Sub(b.firstBound)))
		r.order = append(r.order, b)
		if len(r.order) == 2 && len(b.reasons) == 0 {
			return fmt.Errorf("%s waited and nothing said why", b.name)
		}
		for _, other := range r.boards {
			if len(r.order) == 1 && other != b {
				s.say("%s %s holds nothing: %d of %d pods bound", s.bar(other.boundCount(), other.size), s.name(other.name),
					other.boundCount(), other.size)
			}
		}
	case gangReason:
		if len(b.reasons) == 1 { // the numbers change with every pod that ends
			s.say("%s %s: %s", s.name(b.name), s.wait("waits"), b.lastReason())
		}
	case gangEnded:
		s.say("%s has ended, and its GPUs are free", s.name(b.name))
	case memberFailed:
		return errors.New("a pod of " + b.name + " has failed")
	case memberCreated, memberBound, memberRunning, memberEnded, memberFell, memberLeaves, gangRuns:
	}
	return nil
}

func (r *gangRace) results() []*result {
	var list []*result
	for i, b := range r.order {
		note := "ran first"
		if i > 0 {
			note = "waited for " + r.order[0].name + ", then ran"
		}
		list = append(list, &result{board: b, note: note})
	}
	return list
}

// byRack groups a gang's members by the rack of their node, in the order of the
// racks' names. Their names are told without the gang's, which they begin with.
func byRack(b *board, rackOf map[string]string) (racks []string, nodes map[string]string) {
	lists := map[string][]string{}
	for _, m := range b.sorted() {
		rack := rackOf[m.node]
		lists[rack] = append(lists[rack], strings.TrimPrefix(m.name, b.name+"-")+" on "+m.node)
	}
	nodes = map[string]string{}
	for rack, list := range lists {
		nodes[rack] = strings.Join(list, ", ")
	}
	return slices.Sorted(maps.Keys(lists)), nodes
}
