package plugin

import (
	"errors"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/tools/cache"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/feature"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/noderesources"

	configv1alpha1 "lockstep.dev/lockstep/pkg/apis/config/v1alpha1"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/queue"
	"lockstep.dev/lockstep/pkg/topology"
)

// nobodyWaits is a handle of a framework in which no pod waits in Permit, with a snapshot.
type nobodyWaits struct {
	fwk.Handle
	fwk.SharedLister
	fwk.NodeInfoLister
	nodes []fwk.NodeInfo
}

func (h *nobodyWaits) GetWaitingPod(types.UID) fwk.WaitingPod { return nil }
func (h *nobodyWaits) SnapshotSharedLister() fwk.SharedLister { return h }
func (h *nobodyWaits) NodeInfos() fwk.NodeInfoLister          { return h }
func (h *nobodyWaits) Get(name string) (fwk.NodeInfo, error) {
	for _, info := range h.nodes {
		if info.Node().Name == name {
			return info, nil
		}
	}
	return nil, errors.New("no such node")
}

// pluginOn makes the plugin as it is when all has been seen, on two nodes of 4 GPUs.
func pluginOn() (*Lockstep, []fwk.NodeInfo) {
	nodes := snapshot(node("a", "r0", nil), node("b", "r0", nil))
	handle := &nobodyWaits{nodes: nodes}
	vocabulary := cluster.NewVocabulary()
	args := &configv1alpha1.LockstepArgs{PermitTimeoutSeconds: new(int32(60)), PreemptOtherSchedulers: new(false)}
	e := &engine{
		args: args, handle: handle, vocabulary: vocabulary, mirror: newMirror(vocabulary, []topology.Level{{Name: "rack", Key: "rack"}}),
		core: core.New(core.Options{Vocabulary: vocabulary, NoPreemption: true}), groups: &groupCache{cache.NewStore(cache.MetaNamespaceKeyFunc)},
		pods: map[string]*v1.Pod{}, classes: map[string]*v1.Pod{}, unknown: map[string]bool{}, failures: map[string]string{},
		keys: map[string]queue.Key{}, beside: map[string]*v1.Pod{}, activations: newMailbox(),
	}
	e.reports = newReporter(e)
	e.ready.Store(true)
	e.fence.passed.Store(true)
	return &Lockstep{engine: e, handle: handle}, nodes
}

// member creates one of a gang, of 2 GPUs, as the informer would tell.
func (p *Lockstep) member(name string) *v1.Pod {
	pod := gpuPod(name, "2")
	pod.Namespace, pod.UID, pod.Labels = "ns", types.UID(name), map[string]string{kube.PodGroupLabel: "g"}
	p.mu.Lock()
	event := p.seen(pod)
	p.mu.Unlock()
	p.step(event)
	return pod
}

func (p *Lockstep) gangOf(floor int) {
	p.step(core.GroupSeen{Spec: gang.Spec{Key: gang.Key{Namespace: "ns", Name: "g"}, Floor: floor}})
}

// No member enters the queue before the floor exists, nor before the scheduler has seen
// all that there is.
func TestMembersEnterTogether(t *testing.T) {
	p, _ := pluginOn()
	p.gangOf(2)
	first := p.member("m-0")
	if status := p.PreEnqueue(t.Context(), first); status.IsSuccess() {
		t.Error("half of the gang enters")
	}
	second := p.member("m-1")
	p.ready.Store(false)
	if status := p.PreEnqueue(t.Context(), first); status.IsSuccess() {
		t.Error("a member enters while the scheduler starts")
	}
	p.ready.Store(true)
	for _, pod := range []*v1.Pod{first, second} {
		if status := p.PreEnqueue(t.Context(), pod); !status.IsSuccess() {
			t.Errorf("%s of the whole gang does not enter: %s", pod.Name, status.Message())
		}
	}
	if status := p.PreEnqueue(t.Context(), gpuPod("alone", "1")); !status.IsSuccess() {
		t.Errorf("a pod without a gang is kept out: %s", status.Message())
	}
}

// A member goes where the plan puts it and nowhere else, not past Filter either, which is
// all that a nominated node meets; what is held for it is there for nobody else.
func TestFilterKeepsThePlan(t *testing.T) {
	p, nodes := pluginOn()
	alone := gpuPod("alone", "3")
	if _, status := p.PreFilter(t.Context(), framework.NewCycleState(), alone, nodes); !status.IsSkip() {
		t.Error("Filter runs for other pods although nothing is promised")
	}
	p.gangOf(2)
	members := []*v1.Pod{p.member("m-0"), p.member("m-1")}
	for _, pod := range members {
		state := framework.NewCycleState()
		result, status := p.PreFilter(t.Context(), state, pod, nodes)
		if !status.IsSuccess() || result == nil || !result.NodeNames.Has("a") || len(result.NodeNames) != 1 {
			t.Fatalf("%s: %+v, %v; want node a, which holds both", pod.Name, result, status)
		}
		if !p.Filter(t.Context(), state, pod, nodes[0]).IsSuccess() || p.Filter(t.Context(), state, pod, nodes[1]).IsSuccess() {
			t.Errorf("%s: it may not go to a, or may go to b", pod.Name)
		}
		if p.Filter(t.Context(), framework.NewCycleState(), pod, nodes[0]).IsSuccess() {
			t.Errorf("%s may go anywhere in a cycle in which it was given no place", pod.Name)
		}
	}
	state := framework.NewCycleState()
	if _, status := p.PreFilter(t.Context(), state, alone, nodes); !status.IsSuccess() {
		t.Fatalf("a pod without a gang: %v", status)
	}
	if p.Filter(t.Context(), state, alone, nodes[0]).IsSuccess() {
		t.Error("a pod without a gang takes what is held for members")
	}
	if status := p.Filter(t.Context(), state, alone, nodes[1]); !status.IsSuccess() {
		t.Errorf("a pod without a gang is kept from what is free: %s", status.Message())
	}
}

// Members wait in Permit for the floor, the last one does not, and one that was given
// back goes back.
func TestPermitWaitsForTheFloor(t *testing.T) {
	p, nodes := pluginOn()
	p.gangOf(2)
	members := []*v1.Pod{p.member("m-0"), p.member("m-1")}
	permit := func(pod *v1.Pod) *fwk.Status {
		if _, status := p.PreFilter(t.Context(), framework.NewCycleState(), pod, nodes); !status.IsSuccess() {
			t.Fatalf("%s: %v", pod.Name, status)
		}
		p.Reserve(t.Context(), nil, pod, "a")
		status, _ := p.Permit(t.Context(), nil, pod, "a")
		return status
	}
	if status := permit(members[0]); !status.IsWait() {
		t.Errorf("the first of two does not wait: %v", status)
	}
	p.Unreserve(t.Context(), nil, members[0], "a")
	if status, _ := p.Permit(t.Context(), nil, members[0], "a"); status.IsSuccess() || status.IsWait() {
		t.Errorf("a member that was given back: %v", status)
	}
	if status := permit(members[0]); !status.IsWait() {
		t.Errorf("the first of two does not wait the second time: %v", status)
	}
	if status := permit(members[1]); !status.IsSuccess() {
		t.Errorf("the last one waits: %v", status)
	}
}

// What makes room by the scheduler's own account wakes gangs: a pod that ends or is resized
// to less, a node that comes or grows. A member's own resize is the core's to notice.
func TestWhateverMakesRoomWakesGangs(t *testing.T) {
	args := &config.NodeResourcesFitArgs{ScoringStrategy: &config.ScoringStrategy{
		Type: config.LeastAllocated, Resources: []config.ResourceSpec{{Name: "cpu", Weight: 1}},
	}}
	features := feature.NewSchedulerFeaturesFromGates(utilfeature.DefaultFeatureGate)
	features.EnableDRAExtendedResource = false // asks the handle for more than a test has
	fit, err := noderesources.NewFit(t.Context(), args, &nobodyWaits{}, features)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := fit.(fwk.EnqueueExtensions).EventsToRegister(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, _ := pluginOn()
	ours, err := p.EventsToRegister(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[fwk.EventResource]fwk.ActionType{}
	for _, e := range ours {
		seen[e.Event.Resource] |= e.Event.ActionType
	}
	for _, e := range theirs {
		if of := e.Event; (of.Resource == fwk.Node || of.Resource == fwk.AssignedPod) && of.ActionType&^seen[of.Resource] != 0 {
			t.Errorf("%v of %v wakes no gang", of.ActionType&^seen[of.Resource], of.Resource)
		}
	}
}
