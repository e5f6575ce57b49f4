package plugin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/dynamic"
	fwk "k8s.io/kube-scheduler/framework"

	configv1alpha1 "lockstep.dev/lockstep/pkg/apis/config/v1alpha1"
	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/queue"
)

// engine is what all profiles share: the core under a lock, and the goroutines
// that carry out its effects.
type engine struct {
	args     *configv1alpha1.LockstepArgs
	handle   fwk.Handle // the first profile's; queue and waiting pods are shared by all
	dynamic  dynamic.Interface
	profiles map[string]bool // complete before the scheduler runs
	groups   *groupCache
	queues   *queues
	ready    atomic.Bool // everything that exists has been seen
	asked    atomic.Bool // a pod has been scheduled: this scheduler leads
	fence    fence

	lanes       *lanes // of binds
	activations *mailbox
	reports     *reporter

	mu         sync.Mutex
	core       *core.Core
	vocabulary *cluster.Vocabulary
	mirror     *mirror
	pods       map[string]*v1.Pod // members by UID, as last seen
	residents  residents          // those of them that have a node
	quota      *kube.Quota        // nil where there are no queues
	classes    map[string]*v1.Pod // a pod of each class, which speaks for all
	unknown    map[string]bool    // binds that may have succeeded, by UID
	failures   map[string]string  // why the last bind failed, by UID

	keysMu sync.RWMutex
	keys   map[string]queue.Key // by UID; fixed while the pod is in the queue

	// beside are other pods that were refused a node because of promises to gangs.
	besideMu sync.Mutex
	beside   map[string]*v1.Pod
	// besideEpoch is the core's epoch when they were last woken.
	besideEpoch uint64
}

func newEngine(ctx context.Context, args *configv1alpha1.LockstepArgs, handle fwk.Handle) (*engine, error) {
	client, err := dynamic.NewForConfig(handle.KubeConfig())
	if err != nil {
		return nil, fmt.Errorf("client for PodGroups: %w", err)
	}
	vocabulary := cluster.NewVocabulary()
	e := &engine{
		args: args, handle: handle, dynamic: client, profiles: map[string]bool{handle.ProfileName(): true},
		vocabulary: vocabulary, mirror: newMirror(vocabulary, levels(args)),
		core: core.New(core.Options{
			HealTimeout:  time.Duration(*args.HealTimeoutSeconds) * time.Second,
			ReserveAfter: time.Duration(*args.ReserveAfterSeconds) * time.Second,
			ReclaimAfter: time.Duration(*args.ReclaimSharesAfterSeconds) * time.Second,
			NoPreemption: *args.DisablePreemption,
			Vocabulary:   vocabulary,
		}),
		pods: map[string]*v1.Pod{}, residents: residents{}, classes: map[string]*v1.Pod{}, unknown: map[string]bool{}, failures: map[string]string{},
		keys: map[string]queue.Key{}, beside: map[string]*v1.Pod{}, fence: fence{client: handle.ClientSet()},
	}
	e.lanes = newLanes(bindsAtOnce)
	e.activations = newMailbox()
	e.reports = newReporter(e)
	registerMetrics(e)
	if err := e.start(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// join adds a profile. Its arguments must be the same: there is one queue and one
// set of gangs.
func (e *engine) join(handle fwk.Handle, args *configv1alpha1.LockstepArgs) error {
	if !equality.Semantic.DeepEqual(args, e.args) {
		return errors.New("profiles with the plugin " + Name + " must have equal arguments: " + handle.ProfileName() + " differs")
	}
	e.profiles[handle.ProfileName()] = true
	return nil
}

// step hands one event to the core and carries out what comes back.
func (e *engine) step(event core.Event) {
	e.mu.Lock()
	effects := e.core.Step(time.Now(), event)
	e.mu.Unlock()
	e.apply(effects)
}

// enqueue makes sure that the core knows the pod, and says why it may not enter
// the queue; if it may, its place in the queue is fixed.
func (e *engine) enqueue(pod *v1.Pod) core.Reason {
	uid := string(pod.UID)
	e.mu.Lock()
	var effects []core.Effect
	if _, known := e.core.State(uid); !known && e.exists(pod) {
		effects = e.core.Step(time.Now(), e.seen(pod))
	}
	reason := e.core.Gate(uid)
	key, _ := e.core.QueueKey(uid)
	e.mu.Unlock()
	e.apply(effects)
	if !e.ready.Load() {
		return core.Reason{Code: core.Starting, Message: "the scheduler is starting: it has not seen all pods and PodGroups yet " +
			"(is the CRD podgroups.scheduling.x-k8s.io installed?)"}
	}
	if reason.Code == "" {
		e.keysMu.Lock()
		e.keys[uid] = key
		e.keysMu.Unlock()
	}
	return reason
}

// exists says whether the pod is still there. The scheduler may ask for a pod whose
// end this engine has seen already.
func (e *engine) exists(pod *v1.Pod) bool {
	now := e.stored(pod)
	return now != nil && now.DeletionTimestamp == nil
}

func (e *engine) storedKey(uid string) (queue.Key, bool) {
	e.keysMu.RLock()
	defer e.keysMu.RUnlock()
	key, ok := e.keys[uid]
	return key, ok
}

// seen makes the event of a pod; it needs e.mu.
func (e *engine) seen(pod *v1.Pod) core.Event {
	key, _ := kube.GangOf(pod)
	member := kube.Member(pod, e.vocabulary)
	e.pods[member.UID] = pod
	e.residents.put(pod)
	e.speaker(member.Class, pod)
	return core.MemberSeen{Key: key, Member: member, Node: pod.Spec.NodeName, Barred: kube.Barred(pod), Evicted: kube.Evicted(pod)}
}

func (e *engine) worthTrying(uid string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.core.Leads(uid) && e.core.Gate(uid).Code == ""
}

// place returns where a member may go, planning for its gang if need be.
func (e *engine) place(pod *v1.Pod, nodes []fwk.NodeInfo, exists func(string) bool) (*place, core.Reason) {
	uid := string(pod.UID)
	e.asked.Store(true)
	e.mu.Lock()
	if node, ok := e.core.Pinned(uid); ok && exists(node) {
		e.mu.Unlock()
		return &place{node: node}, core.Reason{}
	}
	begin := time.Now()
	effects := e.look(begin, nodes)
	effects = append(effects, e.core.Step(begin, core.Attempt{UID: uid, View: e.view(nodes)})...)
	e.mu.Unlock()
	observePlan(time.Since(begin), effects)
	e.apply(effects)
	return placeIn(effects)
}

// maxClasses bounds the pods that are kept for their class; beyond it the classes of
// pods that are gone are forgotten.
const maxClasses = 4096

// speaker makes a pod the one that its class is asked about; it needs e.mu.
func (e *engine) speaker(class string, pod *v1.Pod) {
	if len(e.classes) >= maxClasses {
		clear(e.classes)
		for _, other := range e.pods {
			e.classes[kube.Class(other)] = other
		}
	}
	e.classes[class] = pod
}

// podOf returns a pod of a class; it needs e.mu.
func (e *engine) podOf(class string) *v1.Pod { return e.classes[class] }

func (e *engine) permit(uid string) gang.State {
	e.step(core.Permit{UID: uid})
	e.mu.Lock()
	defer e.mu.Unlock()
	state, _ := e.core.State(uid)
	return state
}

func (e *engine) permitTimeout(key gang.Key) time.Duration {
	return kube.PermitTimeout(e.groups.get(key), time.Duration(*e.args.PermitTimeoutSeconds)*time.Second)
}

func (e *engine) unreserve(uid string) {
	e.mu.Lock()
	event := core.Unreserved{UID: uid, Unknown: e.unknown[uid], Why: e.failures[uid]}
	if event.Why == "" {
		event.Why = "the rest of its gang found no place in time"
	}
	delete(e.unknown, uid)
	delete(e.failures, uid)
	e.mu.Unlock()
	e.step(event)
}

// holds says whether members have a place in a plan and are on their way to it.
func (e *engine) holds() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.core.Holds()
}

// promises says whether room is held or reserved for gangs anywhere.
func (e *engine) promises() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.core.Promises()
}

// fitsBesidePromises says whether a pod that no plan pins leaves room for what is held
// or reserved on the node for gangs.
func (e *engine) fitsBesidePromises(pod *v1.Pod, info fwk.NodeInfo) bool {
	e.mu.Lock()
	claim, requests := kube.Claim(pod), kube.Requests(pod, e.vocabulary)
	claim.Queue, claim.Asked = e.queueOf(pod), requests
	held := e.core.PromisedOn(time.Now(), info.Node().Name, string(pod.UID), claim)
	fits := true
	if len(held) > 0 {
		free := kube.Node(info.Node(), e.vocabulary).Free.Sub(e.mirror.requested(info)).
			Sub(cluster.Resources(nil).Set(cluster.Pods, int64(len(info.GetPods())))).Sub(held)
		fits = requests.Fits(free)
	}
	e.mu.Unlock()
	if !fits {
		e.besideMu.Lock()
		e.beside[string(pod.UID)] = pod
		e.besideMu.Unlock()
	}
	return fits
}
