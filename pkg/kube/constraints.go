package kube

import (
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	fwk "k8s.io/kube-scheduler/framework"
)

// HostPorts lists the ports that a pod takes on its node while it runs.
func HostPorts(pod *v1.Pod) []v1.ContainerPort {
	var ports []v1.ContainerPort
	take := func(containers []v1.Container, counts func(*v1.Container) bool) {
		for i := range containers {
			for _, port := range containers[i].Ports {
				if port.HostPort > 0 && counts(&containers[i]) {
					ports = append(ports, v1.ContainerPort{HostPort: port.HostPort, HostIP: port.HostIP, Protocol: port.Protocol})
				}
			}
		}
	}
	take(pod.Spec.InitContainers, func(c *v1.Container) bool {
		return c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways
	})
	take(pod.Spec.Containers, func(*v1.Container) bool { return true })
	return ports
}

// PortsFree reports whether none of a pod's host ports is in use.
func PortsFree(ports []v1.ContainerPort, used fwk.HostPortInfo) bool {
	return !slices.ContainsFunc(ports, func(p v1.ContainerPort) bool {
		return used.CheckConflict(p.HostIP, string(p.Protocol), p.HostPort)
	})
}

// Apart names the groups of pods that never share a node which a pod belongs to, as
// gang.Member has them: those that want a host port, and those of an anti-affinity
// by host that the pod itself is meant by.
func Apart(pod *v1.Pod) []string {
	var groups []string
	for _, p := range HostPorts(pod) {
		ip := p.HostIP
		if ip == "" {
			ip = fwk.DefaultBindAllHostIP
		}
		groups = append(groups, fmt.Sprintf("port %s %s:%d", p.Protocol, ip, p.HostPort))
	}
	for i := range antiAffinity(pod) {
		if selector, self := onePerHost(pod, &antiAffinity(pod)[i]); self {
			groups = append(groups, "pods with "+selector)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

func antiAffinity(pod *v1.Pod) []v1.PodAffinityTerm {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.PodAntiAffinity == nil {
		return nil
	}
	return pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
}

// onePerHost reports whether an anti-affinity term keeps the pod from hosts of pods
// like itself. Pods of one namespace for which the selectors are equal keep apart.
func onePerHost(pod *v1.Pod, term *v1.PodAffinityTerm) (selector string, self bool) {
	s, err := metav1.LabelSelectorAsSelector(term.LabelSelector)
	if err != nil || term.TopologyKey != v1.LabelHostname || !s.Matches(labels.Set(pod.Labels)) {
		return "", false
	}
	own := slices.Contains(term.Namespaces, pod.Namespace)
	if ns := term.NamespaceSelector; ns != nil {
		own = own || len(ns.MatchLabels)+len(ns.MatchExpressions) == 0
	} else {
		own = own || len(term.Namespaces) == 0
	}
	return s.String(), own
}

// Beyond names a constraint of a pod that the planner cannot judge, so that the
// scheduler's own filters have to choose its node: required affinity to other pods,
// anti-affinity that is not one pod to a host, spread constraints and claims of
// devices. Empty where there is none. What other pods and volumes may object to is
// not among them: that is found out when a node is tried.
func Beyond(pod *v1.Pod) string {
	affinity := pod.Spec.Affinity
	switch {
	case affinity != nil && affinity.PodAffinity != nil && len(affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0:
		return "spec.affinity.podAffinity"
	case slices.ContainsFunc(antiAffinity(pod), func(term v1.PodAffinityTerm) bool {
		_, self := onePerHost(pod, &term)
		return !self
	}):
		return "spec.affinity.podAntiAffinity"
	case slices.ContainsFunc(pod.Spec.TopologySpreadConstraints, func(c v1.TopologySpreadConstraint) bool {
		return c.WhenUnsatisfiable == v1.DoNotSchedule
	}):
		return "spec.topologySpreadConstraints"
	case len(pod.Spec.ResourceClaims) > 0:
		return "spec.resourceClaims"
	}
	return ""
}

// Unchecked names what a pod asks for that the planner does not judge: the
// scheduler's filters do, when they are there.
func Unchecked(pod *v1.Pod) []string {
	var names []string
	if beyond := Beyond(pod); beyond != "" {
		names = append(names, beyond)
	}
	if slices.ContainsFunc(pod.Spec.Volumes, func(v v1.Volume) bool { return v.PersistentVolumeClaim != nil || v.Ephemeral != nil }) {
		names = append(names, "spec.volumes (persistent volume claims)")
	}
	return names
}
