package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulingv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/controller"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
)

// world is a cluster as a verb looks at it, from manifests, from the apiserver, or both.
type world struct {
	kube.Listing
	classes []*schedulingv1.PriorityClass
	// declared are the gangs that manifests spoke of.
	declared map[gang.Key]bool
	// said is what the scheduler has written on pod groups, where it has.
	said  map[gang.Key]metav1.Condition
	notes []string
}

func newWorld() *world {
	return &world{
		declared: map[gang.Key]bool{}, said: map[gang.Key]metav1.Condition{}, Listing: kube.Listing{Reserved: map[gang.Key]*kube.Reservation{}},
	}
}

// remember keeps what the scheduler has written on a pod group.
func (w *world) remember(group *schedulingv1alpha1.PodGroup, status kube.GroupStatus) {
	if status.Reservation != nil {
		w.Reserved[gang.Key{Namespace: group.Namespace, Name: group.Name}] = status.Reservation
	}
	for _, condition := range status.Conditions {
		if condition.Type == kube.ScheduledCondition {
			w.said[gang.Key{Namespace: group.Namespace, Name: group.Name}] = condition
		}
	}
}

// unborn is the age of what has no creationTimestamp: younger than all that has one.
var unborn = metav1.NewTime(time.Unix(1<<40, 0))

// addManifests puts what manifests say into a world. What is there already stays as it
// is. Pods that name no scheduler, and belong to a gang or are bound, are taken for
// schedulerName's.
func (w *world) addManifests(names []string, stdin io.Reader, namespace, schedulerName string) error {
	objects, notes, err := decodeManifests(names, stdin, namespace)
	if err != nil {
		return err
	}
	w.notes = append(w.notes, notes...)
	for _, object := range objects {
		if class, ok := object.object.(*schedulingv1.PriorityClass); ok {
			w.classes = append(w.classes, class)
		}
	}
	a := &admission{
		world: w, schedulerName: schedulerName, priorities: newPriorities(w.classes), known: map[string]bool{}, jobs: map[gang.Key]bool{},
	}
	for _, node := range w.Nodes {
		a.known["Node "+node.Name] = true
	}
	for _, pod := range w.Pods {
		a.known["Pod "+pod.Namespace+"/"+pod.Name] = true
		a.noteJob(pod, true)
	}
	for _, group := range w.PodGroups {
		a.known["PodGroup "+group.Namespace+"/"+group.Name] = true
	}
	for _, queue := range w.Queues {
		a.known["Queue "+queue.Name] = true
	}
	for _, quota := range w.Quotas {
		a.known["ElasticQuota "+quota.Namespace+"/"+quota.Name] = true
	}
	return a.admitAll(objects)
}

// admission takes declared objects into a world, as the apiserver would.
type admission struct {
	*world
	schedulerName string
	priorities    priorities
	known         map[string]bool   // objects, as declared.name
	jobs          map[gang.Key]bool // that have pods, and whether those are in the cluster
}

// noteJob remembers the job that a pod belongs to.
func (a *admission) noteJob(pod *corev1.Pod, inCluster bool) {
	if job := pod.Labels[controller.LabelJobName]; job != "" {
		key := gang.Key{Namespace: pod.Namespace, Name: job}
		a.jobs[key] = a.jobs[key] || inCluster
	}
}

// admitAll takes jobs last: what becomes of them depends on what else there is.
func (a *admission) admitAll(objects []declared) error {
	isJob := func(d declared) bool { return d.kind == kubeflowv1.Kind }
	objects = slices.Clone(objects)
	slices.SortStableFunc(objects, func(x, y declared) int {
		switch {
		case isJob(x) == isJob(y):
			return 0
		case isJob(x):
			return 1
		}
		return -1
	})
	for _, object := range objects {
		if err := a.admit(object); err != nil {
			return object.fault(err)
		}
	}
	a.noteStrays()
	return nil
}

func (a *admission) admit(d declared) error {
	if a.known[d.name()] {
		a.declare(d.object)
		a.notes = append(a.notes, d.note("exists in the cluster; it is taken as it is there"))
		return nil
	}
	a.known[d.name()] = true
	switch object := d.object.(type) {
	case *corev1.Node:
		note, err := checkNode(object)
		if err != nil {
			return err
		}
		if note != "" {
			a.notes = append(a.notes, d.note("%s", note))
		}
		a.Nodes = append(a.Nodes, object)
	case *corev1.Pod:
		if note := a.foreign(object); note != "" {
			a.notes = append(a.notes, d.note("%s", note))
		}
		return a.admitPod(object)
	case *policyv1.PodDisruptionBudget:
		if err := checkBudget(object); err != nil {
			return err
		}
		a.Budgets = append(a.Budgets, object)
	case *schedulingv1alpha1.PodGroup:
		a.remember(object, d.status)
		return a.admitGroup(object)
	case *lockstepv1alpha1.Queue:
		a.Queues = append(a.Queues, object)
	case *schedulingv1alpha1.ElasticQuota:
		a.Quotas = append(a.Quotas, object)
	case *kubeflowv1.PyTorchJob:
		return a.admitJob(d, object)
	}
	return nil
}

func (a *admission) admitPod(pod *corev1.Pod) error {
	if err := checkPod(pod); err != nil {
		return err
	}
	if err := a.priorities.set(pod); err != nil {
		return err
	}
	if _, member := kube.GangOf(pod); (member || pod.Spec.NodeName != "") && pod.Spec.SchedulerName == "" {
		pod.Spec.SchedulerName = a.schedulerName
	}
	pod.UID = types.UID(pod.Namespace + "/" + pod.Name) // copies of manifests have each other's
	a.Pods = append(a.Pods, pod)
	a.noteJob(pod, false)
	a.declare(pod)
	return nil
}

// foreign says why a pod that waits is not planned for; empty when it is, or does not wait.
func (a *admission) foreign(pod *corev1.Pod) string {
	_, member := kube.GangOf(pod)
	name := pod.Spec.SchedulerName
	switch {
	case pod.Spec.NodeName != "" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
	case member && name != "" && name != a.schedulerName:
		return fmt.Sprintf("spec.schedulerName: is %s, not %s; it is left out", name, a.schedulerName)
	case !member && name == a.schedulerName:
		return fmt.Sprintf("metadata.labels[%s]: is not given; single pods are left out", kube.PodGroupLabel)
	}
	return ""
}

func (a *admission) admitGroup(group *schedulingv1alpha1.PodGroup) error {
	if err := checkGroup(group); err != nil {
		return err
	}
	if group.CreationTimestamp.IsZero() {
		group.CreationTimestamp = unborn
	}
	a.PodGroups = append(a.PodGroups, group)
	a.declare(group)
	return nil
}

// admitJob does the controller's work for a job that has no pods.
func (a *admission) admitJob(d declared, job *kubeflowv1.PyTorchJob) error {
	key := gang.Key{Namespace: job.Namespace, Name: job.Name}
	a.declared[key] = true
	if inCluster, hasPods := a.jobs[key]; hasPods {
		if inCluster {
			a.notes = append(a.notes, d.note("has pods in the cluster; they are taken as they are there, and one like it beside it needs another name"))
		}
		return nil
	}
	pods, group, note, err := expand(job, a.schedulerName)
	if err != nil || note != "" {
		if note != "" {
			a.notes = append(a.notes, d.note("%s", note))
		}
		return err
	}
	for _, pod := range pods { // before their group: what is wrong in them is wrong in its sums
		if a.known["Pod "+pod.Namespace+"/"+pod.Name] {
			return fmt.Errorf("its pod %s is declared as well, without label %s", pod.Name, controller.LabelJobName)
		}
		if err := a.admitPod(pod); err != nil {
			return fmt.Errorf("pod %s: %w", pod.Name, err)
		}
	}
	if a.known["PodGroup "+key.String()] {
		return nil
	}
	return a.admitGroup(group)
}

// declare remembers that a gang was spoken of.
func (a *admission) declare(object metav1.Object) {
	switch object := object.(type) {
	case *corev1.Pod:
		if key, member := kube.GangOf(object); member {
			a.declared[key] = true
		}
	case *schedulingv1alpha1.PodGroup, *kubeflowv1.PyTorchJob:
		a.declared[gang.Key{Namespace: object.GetNamespace(), Name: object.GetName()}] = true
	}
}

// noteStrays names pods on nodes that are not there: they take no room.
func (a *admission) noteStrays() {
	var strays []string
	for _, pod := range a.Pods {
		if node := pod.Spec.NodeName; node != "" && !a.known["Node "+node] {
			strays = append(strays, fmt.Sprintf("Pod %s/%s: spec.nodeName: there is no node %s; the pod takes no room", pod.Namespace, pod.Name, node))
		}
	}
	slices.SortFunc(strays, cmp.Compare[string])
	a.notes = append(a.notes, strays...)
}
