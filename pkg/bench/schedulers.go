package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"lockstep.dev/lockstep/manifests"
	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// The schedulers that can be measured.
const (
	Lockstep = "lockstep"
	// LockstepUnreserved keeps no room for gangs that wait.
	LockstepUnreserved = "lockstep-unreserved"
	// Ceiling knows every answer and only binds; see ceiling.go.
	Ceiling = "ceiling"
	// CeilingWhole does so when it has seen the whole gang.
	CeilingWhole = "ceiling-whole"
	// Default is kube-scheduler as it is: the same program without the plugin, and
	// pods that no group binds together.
	Default = "default"
	// Native is kube-scheduler with its own gang scheduling switched on (feature gate
	// GenericWorkload, beta and off by default in 1.37).
	Native = "native"
	// NativeTAS is Native with its own topology-awareness (alpha in 1.37): a gang that
	// asks Lockstep for a level asks this one for the same.
	NativeTAS = "native-tas"
	// Coscheduling is the plugin of scheduler-plugins, with its defaults.
	Coscheduling = "coscheduling"
	// CoschedulingTuned is the same with what its documentation advises against
	// gangs that block each other: minResources and a back-off of ten seconds.
	CoschedulingTuned = "coscheduling-tuned"
)

// Peers names the schedulers that Lockstep can be measured beside.
func Peers() []string {
	return []string{LockstepUnreserved, Ceiling, CeilingWhole, Default, Native, NativeTAS, Coscheduling, CoschedulingTuned}
}

// scheduler is one contestant.
type scheduler struct {
	name string
	// podsName is the schedulerName that pods carry.
	podsName string
	// group makes the object that binds a gang's pods together; nil: none does.
	group func(name string, l load) groupObject
	// join makes a pod a member of its gang.
	join func(pod *v1.Pod, gang string)
	// program is the binary, empty for Lockstep's own.
	program string
	config  []byte // nil: as shipped, with the shipped rights
	// arguments of Lockstep's plugin, beside those of the stage.
	arguments map[string]any
	args      []string
}

// groupObject is an object of a group API with the resource it is created under.
type groupObject struct {
	resource schema.GroupVersionResource
	object   map[string]any
}

// nativeGates are what Native and NativeTAS need of the apiserver.
var (
	nativeGates = map[string]bool{"GenericWorkload": true, "TopologyAwareWorkloadScheduling": true}
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

// coscheduling is plain with the plugin as its own manifests enable it.
const coscheduling = plain + `    plugins:
      multiPoint:
        enabled:
          - name: Coscheduling
      queueSort:
        enabled:
          - name: Coscheduling
        disabled:
          - name: "*"
`

const coschedulingTuned = coscheduling + `    pluginConfig:
      - name: Coscheduling
        args:
          podGroupBackoffSeconds: 10
`

// coschedulingProgram is built by "make peers" from test/peers/coscheduling.
const coschedulingProgram = "peer-coscheduling"

var known = map[string]scheduler{
	Lockstep: {podsName: "lockstep", group: lockstepGroup, join: joinLabel},
	LockstepUnreserved: {
		podsName: "lockstep", group: lockstepGroup, join: joinLabel,
		arguments: map[string]any{"reserveAfterSeconds": 0},
	},
	Ceiling: {podsName: "bench-ceiling"}, CeilingWhole: {podsName: "bench-ceiling"},
	Default: {podsName: "bench-default", config: []byte(plain)},
	Native: {
		podsName: "bench-default", config: []byte(plain), group: nativeGroupObject(false), join: joinNative,
		args: []string{"--feature-gates=GenericWorkload=true"},
	},
	NativeTAS: {
		podsName: "bench-default", config: []byte(plain), group: nativeGroupObject(true), join: joinNative,
		args: []string{"--feature-gates=GenericWorkload=true,TopologyAwareWorkloadScheduling=true"},
	},
	Coscheduling: {
		podsName: "bench-default", config: []byte(coscheduling), program: coschedulingProgram,
		group: coschedulingGroup(false), join: joinLabel,
	},
	CoschedulingTuned: {
		podsName: "bench-default", config: []byte(coschedulingTuned), program: coschedulingProgram,
		group: coschedulingGroup(true), join: joinLabel,
	},
}

// contestants are Lockstep and the peers that are named.
func contestants(peers []string) ([]scheduler, error) {
	var list []scheduler
	for _, name := range append([]string{Lockstep}, peers...) {
		if name == "none" || name == "" {
			continue
		}
		s, ok := known[name]
		if !ok || name == Lockstep && len(list) > 0 {
			return nil, fmt.Errorf("no peer %q; there are: none, %s", name, strings.Join(Peers(), ", "))
		}
		s.name = name
		list = append(list, s)
	}
	return list, nil
}

func joinLabel(pod *v1.Pod, gang string) { pod.Labels[kube.PodGroupLabel] = gang }

func joinNative(pod *v1.Pod, gang string) {
	pod.Spec.SchedulingGroup = &v1.PodSchedulingGroup{PodGroupName: &gang}
}

func lockstepGroup(name string, l load) groupObject {
	annotations := map[string]any{}
	if l.required != "" {
		annotations[kube.RequiredTopology] = l.required
	}
	if l.preferred != "" {
		annotations[kube.PreferredTopology] = l.preferred
	}
	return podGroup(name, annotations, map[string]any{"minMember": l.least()})
}

// podGroup is one of scheduler-plugins, which Lockstep uses as well.
func podGroup(name string, annotations, spec map[string]any) groupObject {
	return groupObject{kube.PodGroups, map[string]any{
		"apiVersion": kube.PodGroupKind.GroupVersion().String(), "kind": kube.PodGroupKind.Kind,
		"metadata": map[string]any{"name": name, "annotations": annotations},
		"spec":     spec,
	}}
}

func coschedulingGroup(minResources bool) func(string, load) groupObject {
	return func(name string, l load) groupObject {
		spec := map[string]any{"minMember": l.least()}
		if minResources {
			spec["minResources"] = map[string]any{
				string(fakenodes.GPUResource): fmt.Sprint(l.Size * l.gpus), "cpu": fmt.Sprint(l.Size), "memory": fmt.Sprintf("%dGi", l.Size),
			}
		}
		return podGroup(name, nil, spec)
	}
}

// nativeGroupObject is a gang of Kubernetes itself. It knows required levels only. As a
// victim it goes whole, which it has to ask for.
func nativeGroupObject(topology bool) func(string, load) groupObject {
	keys := map[string]string{"rack": fakenodes.RackLabel, "block": fakenodes.BlockLabel}
	return func(name string, l load) groupObject {
		spec := map[string]any{
			"schedulingPolicy": map[string]any{"gang": map[string]any{"minCount": l.least()}},
			"disruptionMode":   map[string]any{"all": map[string]any{}},
		}
		if l.priority != "" {
			spec["priorityClassName"] = l.priority
		}
		if topology && l.required != "" {
			spec["schedulingConstraints"] = map[string]any{"topology": []any{map[string]any{"key": keys[l.required]}}}
		}
		return groupObject{nativeGroup, map[string]any{
			"apiVersion": nativeGroup.GroupVersion().String(), "kind": "PodGroup",
			"metadata": map[string]any{"name": name},
			"spec":     spec,
		}}
	}
}

// missing says why the scheduler cannot be measured here; "" if it can.
func (s scheduler) missing() string {
	if s.program == "" {
		return ""
	}
	dir, err := devcluster.FindBinDir()
	if err != nil {
		return err.Error()
	}
	if _, err := os.Stat(filepath.Join(dir, s.program)); err != nil {
		return fmt.Sprintf("%s is not built; \"make peers\" builds it (ten minutes, the first time)", filepath.Join(dir, s.program))
	}
	return ""
}

// inProcess says whether the contestant is part of this process.
func (s scheduler) inProcess() bool { return s.name == Ceiling || s.name == CeilingWhole }

func (s scheduler) start(ctx context.Context, t *turn) (player, error) {
	if s.inProcess() {
		return startCeiling(ctx, t)
	}
	options := devcluster.ProgramOptions{Program: s.program, Config: s.config, Args: s.args, LeaderElection: t.elected}
	if s.config != nil { // a peer, which may want rights that Lockstep has no use for
		options.Kubeconfig = t.cluster.KubeconfigPath()
	} else if len(t.arguments)+len(s.arguments) > 0 {
		var err error
		if options.Config, err = shippedWith(t.arguments, s.arguments); err != nil {
			return nil, err
		}
	}
	p, err := t.cluster.StartScheduler(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("scheduler %s: %w", s.name, err)
	}
	return p, nil
}

// shippedWith is Lockstep's own configuration with arguments of the plugin; later ones win.
func shippedWith(lists ...map[string]any) ([]byte, error) {
	arguments := map[string]any{}
	for _, list := range lists {
		maps.Copy(arguments, list)
	}
	text, err := manifests.Files.ReadFile("scheduler/config.yaml")
	if err != nil {
		return nil, err
	}
	const kind = "          kind: LockstepArgs\n"
	var lines strings.Builder
	lines.WriteString(kind)
	for _, name := range slices.Sorted(maps.Keys(arguments)) {
		fmt.Fprintf(&lines, "          %s: %v\n", name, arguments[name])
	}
	with := strings.Replace(string(text), kind, lines.String(), 1)
	if with == string(text) && len(arguments) > 0 {
		return nil, errors.New("scheduler/config.yaml: no place for arguments of the plugin")
	}
	return []byte(with), nil
}
