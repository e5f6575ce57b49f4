package cli

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/invariants"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/topology"
)

// ask has the planner say of each gang that waits whether it would fit now, in the order
// of the queue. The cluster is listed for that only while some gang waits.
func (v *verification) ask(ctx context.Context) error {
	var waiting []gang.Key
	v.recording.Do(func() { waiting = v.checker.Waiting() })
	if len(waiting) == 0 {
		return nil
	}
	reader, err := newClusterReader(v.look.kube)
	if err != nil {
		return err
	}
	w := newWorld()
	if err := reader.fill(ctx, w, v.look.namespace()); err != nil {
		return err
	}
	verdicts, err := v.look.verdicts(w)
	for _, verdict := range verdicts {
		if slices.Contains(waiting, verdict.Gang) {
			v.recording.Do(func() { v.tell(v.checker.Feed(invariants.Event{At: time.Now(), Verdict: verdict})) })
		}
	}
	return err
}

// verdicts say of each gang that waits whether it would fit beside those before it. Room
// that is reserved for another gang is taken: some may use it meanwhile, and nobody has to.
func (i *inspection) verdicts(w *world) ([]*invariants.Verdict, error) {
	offline, err := i.offline(w.withReserved(gang.Key{}))
	if err != nil {
		return nil, err
	}
	var list []*invariants.Verdict
	for _, key := range offline.Queue() {
		asked := offline
		if w.Reserved[key] != nil { // its own room is not in its way
			if asked, err = i.offline(w.withReserved(key)); err != nil {
				return nil, err
			}
		}
		before, _ := asked.Standing(key)
		asked.Try(key)
		if s, known := asked.Standing(key); known {
			list = append(list, &invariants.Verdict{
				Gang: key, Text: "the planner has a place for every member of its floor",
				Fits: before.Status.Phase == gang.Queued && s.Fits() && len(unchecked(s)) == 0,
			})
		}
	}
	return list, nil
}

// withReserved is the world with pods in the room that is reserved for other gangs than
// the given one. Queues are the checker's to judge.
func (w *world) withReserved(own gang.Key) *world {
	with := *w
	with.Reserved, with.Queues, with.Quotas = nil, nil, nil
	with.Pods = slices.Clone(w.Pods)
	for key, reservation := range w.Reserved {
		if key == own {
			continue
		}
		for _, node := range reservation.Nodes {
			name := key.Name + " reserved on " + node.Name // no pod has such a name
			with.Pods = append(with.Pods, &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: name, UID: types.UID(name)},
				Spec: corev1.PodSpec{NodeName: node.Name, Containers: []corev1.Container{{
					Resources: corev1.ResourceRequirements{Requests: node.Resources},
				}}},
			})
		}
	}
	return &with
}

// unchecked is what the members ask for that the planner does not judge.
func unchecked(s kube.Standing) []string {
	var names []string
	for _, place := range s.Places {
		names = append(names, kube.Unchecked(place.Pod)...)
	}
	return names
}

// givenLevels are those of the flag; without it the checker finds them.
func (v *verification) givenLevels() ([]topology.Level, error) {
	if len(v.look.levels) == 0 {
		return nil, nil
	}
	return parseLevels(v.look.levels)
}
