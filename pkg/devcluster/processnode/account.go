package processnode

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	requests "k8s.io/component-helpers/resource"
)

// rejection says why a pod may not run here, in the words of a kubelet.
type rejection struct {
	reason  string
	message string
}

// admit checks that a pod fits beside the pods that hold room already. It returns nil if it does.
func admit(pod *v1.Pod, holding []*v1.Pod, allocatable v1.ResourceList) *rejection {
	if room := allocatable.Pods(); !room.IsZero() && int64(len(holding)+1) > room.Value() {
		return outOf(v1.ResourcePods, resource.MustParse("1"), *resource.NewQuantity(int64(len(holding)), resource.DecimalSI), *room)
	}
	used := v1.ResourceList{}
	for _, p := range holding {
		for name, q := range requests.PodRequests(p, requests.PodResourcesOptions{}) {
			sum := used[name]
			sum.Add(q)
			used[name] = sum
		}
	}
	wants := requests.PodRequests(pod, requests.PodResourcesOptions{})
	for _, name := range sortedKeys(wants) {
		want := wants[name]
		if want.IsZero() {
			continue
		}
		sum := used[name].DeepCopy()
		sum.Add(want)
		if room := allocatable[name]; sum.Cmp(room) > 0 {
			return outOf(name, want, used[name], room)
		}
	}
	return nil
}

func outOf(name v1.ResourceName, want, used, room resource.Quantity) *rejection {
	return &rejection{
		reason: "OutOf" + string(name),
		message: fmt.Sprintf("Pod was rejected: Node didn't have enough resource: %s, requested: %s, used: %s, capacity: %s",
			name, want.String(), used.String(), room.String()),
	}
}
