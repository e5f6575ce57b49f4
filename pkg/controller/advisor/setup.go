package advisor

import (
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"lockstep.dev/lockstep/pkg/autoscale"
	"lockstep.dev/lockstep/pkg/controller"
	"lockstep.dev/lockstep/pkg/topology"
)

// Options of Add.
type Options struct {
	Board         *controller.Board
	SchedulerName string
	// Levels are the scheduler's topologyLevels. None: found by the nodes' labels.
	Levels []topology.Level
	// Recommender decides. Nil: autoscale.WaterFilling.
	Recommender autoscale.Recommender
	// Every is the time between two rounds.
	Every time.Duration

	// Tests have their own clock and jobs that answer.
	now       func() time.Time
	transport http.RoundTripper
}

// Add puts an advisor into the controller's manager. Its cache of nodes and of everybody's
// pods is filled when the first job asks for it.
func Add(mgr manager.Manager, options Options) error {
	everything, err := cache.New(mgr.GetConfig(), cache.Options{
		Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(),
		ByObject: map[client.Object]cache.ByObject{&corev1.Pod{}: {Transform: slimPod}, &corev1.Node{}: {Transform: slimNode}},
	})
	if err != nil {
		return err
	}
	if options.now == nil {
		options.now = time.Now
	}
	if options.Recommender == nil {
		options.Recommender = autoscale.WaterFilling{}
	}
	if err := mgr.Add(everything); err != nil {
		return err
	}
	return mgr.Add(&Advisor{
		Jobs: mgr.GetClient(), Cluster: everything, Recommender: options.Recommender, SchedulerName: options.SchedulerName,
		Levels: options.Levels, Board: options.Board, Every: options.Every, Now: options.now, transport: options.transport,
	})
}

// slimPod keeps what says how much a pod takes, where it is or may go, and whose it is.
func slimPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	slim := &corev1.Pod{
		TypeMeta: pod.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion, Labels: pod.Labels,
			CreationTimestamp: pod.CreationTimestamp, DeletionTimestamp: pod.DeletionTimestamp, OwnerReferences: pod.OwnerReferences,
		},
		Spec: corev1.PodSpec{
			NodeName: pod.Spec.NodeName, SchedulerName: pod.Spec.SchedulerName, Priority: pod.Spec.Priority,
			NodeSelector: pod.Spec.NodeSelector, Affinity: pod.Spec.Affinity, Tolerations: pod.Spec.Tolerations,
			TopologySpreadConstraints: pod.Spec.TopologySpreadConstraints, ResourceClaims: pod.Spec.ResourceClaims,
			SchedulingGates: pod.Spec.SchedulingGates, SchedulingGroup: pod.Spec.SchedulingGroup,
			Overhead: pod.Spec.Overhead, Resources: pod.Spec.Resources,
			Containers: slimContainers(pod.Spec.Containers), InitContainers: slimContainers(pod.Spec.InitContainers),
		},
		Status: corev1.PodStatus{Phase: pod.Status.Phase, PodIP: pod.Status.PodIP},
	}
	for _, volume := range pod.Spec.Volumes {
		if volume.PersistentVolumeClaim != nil {
			slim.Spec.Volumes = append(slim.Spec.Volumes, volume)
		}
	}
	return slim, nil
}

func slimContainers(containers []corev1.Container) []corev1.Container {
	slim := make([]corev1.Container, 0, len(containers))
	for _, c := range containers {
		slim = append(slim, corev1.Container{Name: c.Name, Resources: c.Resources, Ports: c.Ports, RestartPolicy: c.RestartPolicy})
	}
	return slim
}

func slimNode(object any) (any, error) {
	node, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	return &corev1.Node{
		TypeMeta: node.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion,
			Labels: node.Labels, CreationTimestamp: node.CreationTimestamp},
		Spec:   corev1.NodeSpec{Unschedulable: node.Spec.Unschedulable, Taints: node.Spec.Taints},
		Status: corev1.NodeStatus{Allocatable: node.Status.Allocatable},
	}, nil
}
