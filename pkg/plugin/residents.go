package plugin

import (
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"lockstep.dev/lockstep/pkg/core"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
)

// residents are the members that have a node, by its name and by UID.
type residents map[string]map[string]*v1.Pod

func (r residents) put(pod *v1.Pod) {
	node := pod.Spec.NodeName
	if node == "" {
		return
	}
	if r[node] == nil {
		r[node] = map[string]*v1.Pod{}
	}
	r[node][string(pod.UID)] = pod
}

func (r residents) drop(pod *v1.Pod) {
	on := r[pod.Spec.NodeName]
	if delete(on, string(pod.UID)); len(on) == 0 {
		delete(r, pod.Spec.NodeName)
	}
}

// look brings the mirror in line with a snapshot, and tells the core of members that have left a
// node which has changed. The scheduler sees the room that they leave as soon as their end is
// known, and tries who waits for it; this engine hears of their end in its own turn, which may
// come after that. It needs e.mu.
func (e *engine) look(now time.Time, nodes []fwk.NodeInfo) (effects []core.Effect) {
	e.mirror.update(nodes)
	var left []core.MemberGone
	for _, node := range e.mirror.takeMoved() {
		for uid, pod := range e.residents[node] {
			if state, _ := e.core.State(uid); state == gang.Bound && e.stored(pod) == nil {
				key, _ := kube.GangOf(pod)
				left = append(left, core.MemberGone{Key: key, UID: uid})
			}
		}
	}
	slices.SortFunc(left, func(a, b core.MemberGone) int { return strings.Compare(a.UID, b.UID) })
	for _, gone := range left { // of a node that changed twice they are there twice, which changes nothing
		effects = append(effects, e.core.Step(now, gone)...)
	}
	return effects
}

// lookBeside does that before a pod is tried that is no member.
func (e *engine) lookBeside(nodes []fwk.NodeInfo) {
	e.mu.Lock()
	effects := e.look(time.Now(), nodes)
	e.mu.Unlock()
	e.apply(effects)
}

// stored is the pod as the scheduler was last told of it; nil where it is not there any more, or
// has ended. Nobody hears of a change before it is stored.
func (e *engine) stored(pod *v1.Pod) *v1.Pod {
	now, err := e.handle.SharedInformerFactory().Core().V1().Pods().Lister().Pods(pod.Namespace).Get(pod.Name)
	if err != nil || now.UID != pod.UID {
		return nil
	}
	return now
}
