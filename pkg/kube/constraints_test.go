package kube

import (
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hostPort is a change that has the pod's container want a port of its node.
func hostPort(ip string, port int32) func(*v1.Pod) {
	return func(p *v1.Pod) {
		c := &p.Spec.Containers[0]
		c.Ports = append(c.Ports, v1.ContainerPort{HostPort: port, HostIP: ip, Protocol: v1.ProtocolTCP}, v1.ContainerPort{ContainerPort: 9})
	}
}

func awayFrom(key string, labels map[string]string, change func(*v1.PodAffinityTerm)) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Labels["job"] = "a"
		term := v1.PodAffinityTerm{TopologyKey: key, LabelSelector: &metav1.LabelSelector{MatchLabels: labels}}
		if change != nil {
			change(&term)
		}
		p.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{term},
		}}
	}
}

func TestConstraintsBetweenPods(t *testing.T) {
	own := map[string]string{"job": "a"}
	tests := []struct {
		name   string
		change func(*v1.Pod)
		apart  []string
		beyond string
	}{
		{name: "none"},
		{"a host port", hostPort("", 29500), []string{"port TCP 0.0.0.0:29500"}, ""},
		{"a host port of one address", hostPort("10.0.0.1", 1), []string{"port TCP 10.0.0.1:1"}, ""},
		{"anti-affinity to its own kind by host", awayFrom(v1.LabelHostname, own, nil), []string{"pods with job=a"}, ""},
		{"by host, to others", awayFrom(v1.LabelHostname, map[string]string{"job": "b"}, nil), nil, "spec.affinity.podAntiAffinity"},
		{"to its own kind by rack", awayFrom("rack", own, nil), nil, "spec.affinity.podAntiAffinity"},
		{"to its own kind in another namespace", awayFrom(v1.LabelHostname, own, func(term *v1.PodAffinityTerm) {
			term.Namespaces = []string{"elsewhere"}
		}), nil, "spec.affinity.podAntiAffinity"},
		{"to its own kind in all namespaces", awayFrom(v1.LabelHostname, own, func(term *v1.PodAffinityTerm) {
			term.NamespaceSelector = &metav1.LabelSelector{}
		}), []string{"pods with job=a"}, ""},
		{"anti-affinity that is only preferred", func(p *v1.Pod) {
			p.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{
				PreferredDuringSchedulingIgnoredDuringExecution: []v1.WeightedPodAffinityTerm{{Weight: 1}},
			}}
		}, nil, ""},
		{"affinity", func(p *v1.Pod) {
			p.Spec.Affinity = &v1.Affinity{PodAffinity: &v1.PodAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{{TopologyKey: "rack"}},
			}}
		}, nil, "spec.affinity.podAffinity"},
		{"a spread that must be kept", func(p *v1.Pod) {
			p.Spec.TopologySpreadConstraints = []v1.TopologySpreadConstraint{{WhenUnsatisfiable: v1.DoNotSchedule}}
		}, nil, "spec.topologySpreadConstraints"},
		{"a spread that should be kept", func(p *v1.Pod) {
			p.Spec.TopologySpreadConstraints = []v1.TopologySpreadConstraint{{WhenUnsatisfiable: v1.ScheduleAnyway}}
		}, nil, ""},
		{"a claim of a device", func(p *v1.Pod) { p.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu"}} }, nil, "spec.resourceClaims"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := pod(tt.change)
			if got := Apart(p); !slices.Equal(got, tt.apart) {
				t.Errorf("keeps apart %q, want %q", got, tt.apart)
			}
			if got := Beyond(p); got != tt.beyond {
				t.Errorf("beyond the planner: %q, want %q", got, tt.beyond)
			}
		})
	}
}

// TestPodsThatKeepApartAreNoClassWithThoseThatDoNot: the same term means a pod or not, by its labels.
func TestPodsThatKeepApartAreNoClassWithThoseThatDoNot(t *testing.T) {
	term := awayFrom(v1.LabelHostname, map[string]string{"role": "worker"}, nil)
	meant := pod(func(p *v1.Pod) { term(p); p.Labels["role"] = "worker" })
	if Class(meant) == Class(pod(term)) {
		t.Error("one class; only one of them keeps apart from its own kind")
	}
}

func TestUnchecked(t *testing.T) {
	if got := Unchecked(pod(nil)); len(got) > 0 {
		t.Errorf("a plain pod: %v", got)
	}
	got := Unchecked(pod(func(p *v1.Pod) {
		hostPort("", 1)(p)
		p.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu"}}
		p.Spec.Volumes = []v1.Volume{{VolumeSource: v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{}}}}
	}))
	if want := []string{"spec.resourceClaims", "spec.volumes (persistent volume claims)"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
