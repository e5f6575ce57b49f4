package plugin

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	configv1alpha1 "lockstep.dev/lockstep/pkg/apis/config/v1alpha1"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/queue"
)

// Name of the plugin in the scheduler's configuration.
const Name = configv1alpha1.PluginName

// Lockstep schedules the members of a gang together or not at all.
type Lockstep struct {
	*engine
	handle fwk.Handle
}

var (
	_ fwk.PreEnqueuePlugin  = (*Lockstep)(nil)
	_ fwk.QueueSortPlugin   = (*Lockstep)(nil)
	_ fwk.EnqueueExtensions = (*Lockstep)(nil)
	_ fwk.SignPlugin        = (*Lockstep)(nil)
	_ fwk.PreFilterPlugin   = (*Lockstep)(nil)
	_ fwk.FilterPlugin      = (*Lockstep)(nil)
	_ fwk.PostFilterPlugin  = (*Lockstep)(nil)
	_ fwk.ReservePlugin     = (*Lockstep)(nil)
	_ fwk.PermitPlugin      = (*Lockstep)(nil)
	_ fwk.BindPlugin        = (*Lockstep)(nil)
)

// NewFactory returns the factory that the scheduler calls once per profile.
func NewFactory() func(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) {
	var shared *engine
	return func(ctx context.Context, object runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
		args, err := decodeArgs(object)
		if err != nil {
			return nil, fmt.Errorf("profile %s: pluginConfig[name=%s].args: %w", handle.ProfileName(), Name, err)
		}
		if shared == nil {
			if shared, err = newEngine(ctx, args, handle); err != nil {
				return nil, err
			}
		} else if err := shared.join(handle, args); err != nil {
			return nil, err
		}
		return &Lockstep{engine: shared, handle: handle}, nil
	}
}

// Name implements fwk.Plugin.
func (p *Lockstep) Name() string { return Name }

// PreEnqueue keeps a member out of the queue until its gang may be tried.
func (p *Lockstep) PreEnqueue(_ context.Context, pod *v1.Pod) *fwk.Status {
	if _, member := kube.GangOf(pod); !member {
		return nil
	}
	if reason := p.enqueue(pod); reason.Code != "" {
		return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, reason.Message)
	}
	return nil
}

// Less orders the queue: by what is settled, priority, age, gang and rank.
func (p *Lockstep) Less(a, b fwk.QueuedEntityInfo) bool {
	return queue.Less(p.queueKey(a), p.queueKey(b))
}

func (p *Lockstep) queueKey(entity fwk.QueuedEntityInfo) queue.Key {
	key := queue.Key{Priority: entity.GetPriority(), Since: entity.GetTimestamp()}
	if info, ok := entity.(*framework.QueuedPodInfo); ok && info.PodInfo != nil && info.Pod != nil {
		if stored, ok := p.storedKey(string(info.Pod.UID)); ok {
			return stored
		}
		key.UID = string(info.Pod.UID)
	}
	return key
}

// EventsToRegister names what may make a gang fit. The hint wakes only the
// member that is tried for its gang; it wakes the others when it got a place.
// A pod whose label is taken away is a member no more: no gang wakes it.
// It is what the scheduler asks first when a profile has all its plugins, and an error
// ends the start.
func (p *Lockstep) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	if err := checkProfile(p.handle); err != nil {
		return nil, err
	}
	nodeChanges := fwk.Add | fwk.UpdateNodeAllocatable | fwk.UpdateNodeLabel | fwk.UpdateNodeTaint
	return []fwk.ClusterEventWithHint{
		{Event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: nodeChanges}, QueueingHintFn: p.hint},
		{Event: fwk.ClusterEvent{Resource: fwk.AssignedPod, ActionType: fwk.Delete | fwk.UpdatePodScaleDown}, QueueingHintFn: p.hint},
		{Event: fwk.ClusterEvent{Resource: fwk.TargetPod, ActionType: fwk.UpdatePodLabel}, QueueingHintFn: p.freed},
	}, nil
}

func (p *Lockstep) hint(_ klog.Logger, pod *v1.Pod, _, _ any) (fwk.QueueingHint, error) {
	if _, member := kube.GangOf(pod); member && !p.worthTrying(string(pod.UID)) {
		return fwk.QueueSkip, nil
	}
	return fwk.Queue, nil
}

// freed wakes a pod that was a member and is none now.
func (p *Lockstep) freed(_ klog.Logger, _ *v1.Pod, before, after any) (fwk.QueueingHint, error) {
	old, _ := before.(*v1.Pod)
	pod, _ := after.(*v1.Pod)
	if old == nil || pod == nil {
		return fwk.Queue, nil
	}
	_, was := kube.GangOf(old)
	if _, is := kube.GangOf(pod); was && !is {
		return fwk.Queue, nil
	}
	return fwk.QueueSkip, nil
}

// SignPod keeps members out of the framework's batches, which reuse one pod's
// result for the next. What decides over other pods, their requests and the nodes, is
// in the signatures of the scheduler's own plugins.
func (p *Lockstep) SignPod(_ context.Context, pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	if _, member := kube.GangOf(pod); member {
		return nil, fwk.NewStatus(fwk.Unschedulable, "member of a gang")
	}
	return nil, nil
}

// place is where a member may go in this cycle.
type place struct {
	node string           // that it is pinned to; empty for one that roams
	near string           // where the planner would put one that roams
	any  bool             // it roams everywhere
	in   sets.Set[string] // or on these nodes
}

// Clone implements fwk.StateData.
func (p *place) Clone() fwk.StateData { return p }

func (p *place) allows(node string) bool { return p.node == node || p.any || p.in.Has(node) }

const placeKey = Name + "/place"

// nowhere is the place of a member that was given none.
var nowhere = &place{}

func placeOf(state fwk.CycleState) *place {
	if data, err := state.Read(placeKey); err == nil {
		if p, ok := data.(*place); ok {
			return p
		}
	}
	return nowhere
}

// PreFilter plans for the whole gang with its first member; the others only look
// up their place.
func (p *Lockstep) PreFilter(ctx context.Context, state fwk.CycleState, pod *v1.Pod, nodes []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if why := p.behind(ctx, pod, nodes); why != "" {
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, why)
	}
	if _, member := kube.GangOf(pod); !member {
		if p.lookBeside(nodes); !p.promises() {
			return nil, fwk.NewStatus(fwk.Skip)
		}
		return nil, nil
	}
	at, reason := p.place(pod, nodes, p.inSnapshot)
	if at == nil {
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, reason.Message)
	}
	state.Write(placeKey, at)
	switch {
	case at.any:
		return nil, nil
	case at.node != "":
		return &fwk.PreFilterResult{NodeNames: sets.New(at.node)}, nil
	}
	return &fwk.PreFilterResult{NodeNames: at.in}, nil
}

// inSnapshot says whether the node is in this cycle's snapshot.
func (p *Lockstep) inSnapshot(node string) bool {
	_, err := p.handle.SnapshotSharedLister().NodeInfos().Get(node)
	return err == nil
}

// PreFilterExtensions implements fwk.PreFilterPlugin.
func (p *Lockstep) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// Filter holds a member to where it may go, and hides from other pods what is held for
// gangs, and what is reserved for them. The result of PreFilter is not enough: a
// nominated node bypasses it.
func (p *Lockstep) Filter(_ context.Context, state fwk.CycleState, pod *v1.Pod, info fwk.NodeInfo) *fwk.Status {
	if _, member := kube.GangOf(pod); member {
		switch at := placeOf(state); {
		case !at.allows(info.Node().Name):
			return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "the gang's plan puts the pod elsewhere")
		case at.node != "":
			return nil
		}
	}
	if p.fitsBesidePromises(pod, info) {
		return nil
	}
	return fwk.NewStatus(fwk.Unschedulable, "the room is promised to a gang")
}

// PostFilter tells the core when the pinned node was refused, so that the gang is
// planned again without it, and when another plugin stops the member before it has a
// place. No pod is preempted for a single member.
func (p *Lockstep) PostFilter(_ context.Context, state fwk.CycleState, pod *v1.Pod, nodes fwk.NodeToStatusReader) (*fwk.PostFilterResult, *fwk.Status) {
	if _, member := kube.GangOf(pod); !member {
		return nil, fwk.NewStatus(fwk.Unschedulable)
	}
	switch at := placeOf(state); {
	case at == nowhere:
		if status := nodes.Get(""); status.Plugin() != Name { // PreFilter's: of every node
			p.step(core.Stopped{UID: string(pod.UID), Why: status.Message()})
		}
	case at.node != "":
		p.step(core.Missed{UID: string(pod.UID), Node: at.node, Why: nodes.Get(at.node).Message()})
	default:
		p.step(core.Missed{UID: string(pod.UID), Why: p.whyNowhere(pod, at, nodes)})
	}
	return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable)
}

// Reserve is called when the scheduler has assumed the member on its node.
func (p *Lockstep) Reserve(_ context.Context, _ fwk.CycleState, pod *v1.Pod, node string) *fwk.Status {
	if _, member := kube.GangOf(pod); member {
		p.step(core.Reserved{UID: string(pod.UID), Node: node})
	}
	return nil
}

// Unreserve is called when the scheduler lets go of the member, before or after its release.
func (p *Lockstep) Unreserve(_ context.Context, _ fwk.CycleState, pod *v1.Pod, _ string) {
	if _, member := kube.GangOf(pod); member {
		p.unreserve(string(pod.UID))
	}
}

// Permit lets members wait until the floor is reserved.
func (p *Lockstep) Permit(_ context.Context, _ fwk.CycleState, pod *v1.Pod, _ string) (*fwk.Status, time.Duration) {
	key, member := kube.GangOf(pod)
	if !member {
		return nil, 0
	}
	switch p.permit(string(pod.UID)) {
	case gang.Binding, gang.Bound:
		return nil, 0
	case gang.Reserved:
		return fwk.NewStatus(fwk.Wait), p.permitTimeout(key)
	case gang.Waiting, gang.Held:
	}
	return fwk.NewStatus(fwk.Unschedulable, "the gang was given back meanwhile"), 0
}

// Bind binds members with retries of its own; other pods are left to the next binder.
func (p *Lockstep) Bind(ctx context.Context, _ fwk.CycleState, pod *v1.Pod, node string) *fwk.Status {
	if _, member := kube.GangOf(pod); !member {
		return fwk.NewStatus(fwk.Skip)
	}
	if err := p.bind(ctx, pod, node); err != nil {
		return fwk.AsStatus(err)
	}
	return nil
}
