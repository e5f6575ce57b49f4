package kube

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
)

func pod(change func(*v1.Pod)) *v1.Pod {
	p := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "job-worker-10", UID: "u1", Labels: map[string]string{}},
		Spec: v1.PodSpec{Containers: []v1.Container{{Name: "pytorch", Resources: v1.ResourceRequirements{
			Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse("250m"), v1.ResourceMemory: resource.MustParse("1Gi")},
			Limits:   v1.ResourceList{"nvidia.com/gpu": resource.MustParse("2")},
		}}}},
	}
	if change != nil {
		change(p)
	}
	return p
}

func TestGangOf(t *testing.T) {
	if _, member := GangOf(pod(nil)); member {
		t.Error("a pod without the label is a member")
	}
	key, member := GangOf(pod(func(p *v1.Pod) { p.Labels[PodGroupLabel] = "job" }))
	if want := (gang.Key{Namespace: "team", Name: "job"}); !member || key != want {
		t.Errorf("got %v, %t; want %v", key, member, want)
	}
}

func TestRankByTheLabelsOfEveryController(t *testing.T) {
	tests := []struct {
		name        string
		labels      map[string]string
		annotations map[string]string
		role        string
		index       int
	}{
		{"PyTorchJob", map[string]string{"training.kubeflow.org/replica-type": "worker", "training.kubeflow.org/replica-index": "10"}, nil, "worker", 10},
		{"indexed Job", nil, map[string]string{"batch.kubernetes.io/job-completion-index": "3"}, "", 3},
		{"JobSet", map[string]string{
			"jobset.sigs.k8s.io/replicatedjob-name": "workers", "jobset.sigs.k8s.io/job-index": "2", "batch.kubernetes.io/job-completion-index": "1",
		}, nil, "workers", 2*outerStride + 1},
		{"LeaderWorkerSet", map[string]string{"leaderworkerset.sigs.k8s.io/worker-index": "4"}, nil, "", 4},
		{"StatefulSet", map[string]string{"apps.kubernetes.io/pod-index": "7"}, nil, "", 7},
		{"nonsense", map[string]string{"training.kubeflow.org/replica-index": "-3"}, nil, "", 0},
		{"none", nil, nil, "", 0},
	}
	for _, tt := range tests {
		m := Member(pod(func(p *v1.Pod) { p.Labels, p.Annotations = tt.labels, tt.annotations }), cluster.NewVocabulary())
		if m.Role != tt.role || m.Index != tt.index {
			t.Errorf("%s: role %q, index %d; want %q, %d", tt.name, m.Role, m.Index, tt.role, tt.index)
		}
	}
}

func TestRequestsAreWhatTheSchedulerCounts(t *testing.T) {
	vocabulary := cluster.NewVocabulary()
	always := v1.ContainerRestartPolicyAlways
	requests := Requests(pod(func(p *v1.Pod) {
		p.Spec.Overhead = v1.ResourceList{v1.ResourceCPU: resource.MustParse("50m")}
		p.Spec.InitContainers = []v1.Container{
			{Name: "init", Resources: v1.ResourceRequirements{Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse("2")}}},
			{Name: "sidecar", RestartPolicy: &always, Resources: v1.ResourceRequirements{Requests: v1.ResourceList{v1.ResourceMemory: resource.MustParse("1Gi")}}},
		}
	}), vocabulary)
	gpu := vocabulary.Index("nvidia.com/gpu")
	for _, want := range []struct {
		name   string
		place  int
		amount int64
	}{{"cpu: the init container and the overhead", cluster.CPU, 2050}, {"memory: the sidecar as well", cluster.Memory, 2 << 30}, {"pods", cluster.Pods, 1}} {
		if got := requests.Get(want.place); got != want.amount {
			t.Errorf("%s: %d, want %d", want.name, got, want.amount)
		}
	}
	// Limits stand for requests that are not there; the apiserver writes that down.
	if got := requests.Get(gpu); got != 0 {
		t.Errorf("%d GPUs are requested by limits alone; only the apiserver's defaulting may do that", got)
	}
}

func TestClassIsEqualForPodsThatMayGoToTheSamePlaces(t *testing.T) {
	base := Class(pod(nil))
	if Class(pod(func(p *v1.Pod) { p.Name, p.UID, p.Labels["x"] = "other", "u2", "y" })) != base {
		t.Error("name, UID and labels decide nothing, but make another class")
	}
	for name, change := range map[string]func(*v1.Pod){
		"requests":    func(p *v1.Pod) { p.Spec.Containers[0].Resources.Requests[v1.ResourceCPU] = resource.MustParse("1") },
		"selector":    func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"a": "b"} },
		"tolerations": func(p *v1.Pod) { p.Spec.Tolerations = []v1.Toleration{{Operator: v1.TolerationOpExists}} },
		"affinity":    func(p *v1.Pod) { p.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{}} },
		"host port":   func(p *v1.Pod) { p.Spec.Containers[0].Ports = []v1.ContainerPort{{HostPort: 80}} },
		"volume": func(p *v1.Pod) {
			p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{
				PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: "c"},
			}}}
		},
	} {
		if Class(pod(change)) == base {
			t.Errorf("%s decide where a pod may go, but make no other class", name)
		}
	}
}

func TestBarred(t *testing.T) {
	if why := Barred(pod(nil)); why != "" {
		t.Errorf("a plain pod is barred: %s", why)
	}
	if why := Barred(pod(func(p *v1.Pod) { p.Spec.SchedulingGates = []v1.PodSchedulingGate{{Name: "kueue.x-k8s.io/admission"}} })); why == "" {
		t.Error("a gated pod counts as a member that may be scheduled")
	}
	if why := Barred(pod(func(p *v1.Pod) { p.Spec.SchedulingGroup = &v1.PodSchedulingGroup{} })); why == "" {
		t.Error("a pod that claims two groups counts")
	}
}
