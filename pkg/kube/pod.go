package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"sort"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	podresource "k8s.io/component-helpers/resource"

	"lockstep.dev/lockstep/pkg/cluster"
)

// Requests of a pod as the scheduler counts them: init containers, sidecars and
// overhead included, and the pod itself as one of cluster.Pods.
func Requests(pod *v1.Pod, vocabulary *cluster.Vocabulary) cluster.Resources {
	requests := Resources(podresource.PodRequests(pod, podresource.PodResourcesOptions{}), vocabulary)
	return requests.Set(cluster.Pods, 1)
}

// Resources translates a list of quantities.
func Resources(list v1.ResourceList, vocabulary *cluster.Vocabulary) cluster.Resources {
	names := make([]string, 0, len(list))
	for name := range list {
		names = append(names, string(name))
	}
	sort.Strings(names) // so that places in the vocabulary do not depend on map order
	var out cluster.Resources
	for _, name := range names {
		out = out.Set(vocabulary.Index(name), Amount(v1.ResourceName(name), list[v1.ResourceName(name)]))
	}
	return out
}

// Amount is a quantity in the unit that the planner counts it in; the largest number
// where it is more than can be counted.
func Amount(name v1.ResourceName, q resource.Quantity) int64 {
	switch {
	case name == v1.ResourceCPU && q.CmpInt64(math.MaxInt64/1000) > 0, q.CmpInt64(math.MaxInt64) >= 0:
		return math.MaxInt64
	case name == v1.ResourceCPU:
		return q.MilliValue()
	}
	return q.Value()
}

// Class is equal for pods that the planner may treat alike: everything that
// decides where a pod may run.
func Class(pod *v1.Pod) string {
	claims := 0
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].PersistentVolumeClaim != nil {
			claims++ // which ones it is only the scheduler's filters know to judge
		}
	}
	text, err := json.Marshal(struct {
		Requests    v1.ResourceList
		Selector    map[string]string
		Affinity    *v1.Affinity
		Tolerations []v1.Toleration
		Spread      []v1.TopologySpreadConstraint
		Ports       []v1.ContainerPort
		Claims      int
		Devices     []v1.PodResourceClaim
		Apart       []string
	}{
		podresource.PodRequests(pod, podresource.PodResourcesOptions{}), pod.Spec.NodeSelector, pod.Spec.Affinity,
		pod.Spec.Tolerations, pod.Spec.TopologySpreadConstraints, HostPorts(pod), claims, pod.Spec.ResourceClaims, Apart(pod),
	})
	if err != nil {
		return string(pod.UID) // cannot happen for a decoded pod; then it is like no other
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}
