package bench

import (
	"context"
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/kube"
)

// The schedulers that can be measured.
const (
	Lockstep = "lockstep"
	// Default is kube-scheduler as it is: the same program without the plugin, and
	// pods that no group binds together.
	Default = "default"
	// Native is kube-scheduler with its own gang scheduling switched on (feature gate
	// GenericWorkload, beta and off by default in 1.37).
	Native = "native"
)

// Peers names the schedulers that Lockstep can be measured beside.
func Peers() []string { return []string{Default, Native} }

// scheduler is one contestant.
type scheduler struct {
	name string
	// podsName is the schedulerName that pods carry.
	podsName string
	// group makes the object that binds a gang's pods together; nil: none does.
	group func(namespace, name string, size int) groupObject
	// join makes a pod a member of its gang.
	join   func(pod *v1.Pod, gang string)
	config []byte // nil: as shipped, with the shipped rights
	args   []string
}

// groupObject is an object of a group API with the resource it is created under.
type groupObject struct {
	resource schema.GroupVersionResource
	object   map[string]any
}

// nativeGates are what Native needs, in the apiserver as well.
var (
	nativeGates = map[string]bool{"GenericWorkload": true}
	nativeAPIs  = map[string]bool{"scheduling.k8s.io/v1beta1": true}
	nativeGroup = schema.GroupVersionResource{Group: "scheduling.k8s.io", Version: "v1beta1", Resource: "podgroups"}
)

// plain is kube-scheduler's own configuration with the client limits that
// Lockstep ships with.
const plain = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection:
  qps: 5000
  burst: 10000
profiles:
  - schedulerName: bench-default
`

func contestants(peers []string) ([]scheduler, error) {
	list := []scheduler{{name: Lockstep, podsName: "lockstep", group: lockstepGroup, join: func(pod *v1.Pod, gang string) {
		pod.Labels[kube.PodGroupLabel] = gang
	}}}
	for _, peer := range peers {
		switch peer {
		case "none", "":
		case Default:
			list = append(list, scheduler{name: Default, podsName: "bench-default", config: []byte(plain)})
		case Native:
			list = append(list, scheduler{
				name: Native, podsName: "bench-default", config: []byte(plain), args: []string{"--feature-gates=GenericWorkload=true"},
				group: nativeGroupObject, join: func(pod *v1.Pod, gang string) {
					pod.Spec.SchedulingGroup = &v1.PodSchedulingGroup{PodGroupName: &gang}
				},
			})
		default:
			return nil, fmt.Errorf("no peer %q; there are: none, %s", peer, strings.Join(Peers(), ", "))
		}
	}
	return list, nil
}

func lockstepGroup(namespace, name string, size int) groupObject {
	return groupObject{kube.PodGroups, map[string]any{
		"apiVersion": kube.PodGroupKind.GroupVersion().String(), "kind": kube.PodGroupKind.Kind,
		"metadata": map[string]any{"name": name, "namespace": namespace},
		"spec":     map[string]any{"minMember": int64(size)},
	}}
}

func nativeGroupObject(namespace, name string, size int) groupObject {
	return groupObject{nativeGroup, map[string]any{
		"apiVersion": nativeGroup.GroupVersion().String(), "kind": "PodGroup",
		"metadata": map[string]any{"name": name, "namespace": namespace},
		"spec":     map[string]any{"schedulingPolicy": map[string]any{"gang": map[string]any{"minCount": int64(size)}}},
	}}
}

func (s scheduler) start(ctx context.Context, cluster *devcluster.Cluster) (*devcluster.Process, error) {
	options := devcluster.ProgramOptions{Config: s.config, Args: s.args}
	if s.config != nil { // a peer, which may want rights that Lockstep has no use for
		options.Kubeconfig = cluster.KubeconfigPath()
	}
	p, err := cluster.StartScheduler(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("scheduler %s: %w", s.name, err)
	}
	return p, nil
}
