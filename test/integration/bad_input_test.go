package integration

import (
	"fmt"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
	"lockstep.dev/lockstep/pkg/kube"
)

// What cannot be is refused by the apiserver, with the field and what is right.
func TestPodGroupsThatAreRefused(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 0)
	long := strings.Repeat("g", 64)
	for _, tt := range []struct {
		name, group string
		spec        map[string]any
		want        string
	}{
		{"no minMember", "none", map[string]any{}, `spec.minMember: Required value: must be at least 1`},
		{"no spec", "bare", nil, `spec.minMember: Required value: must be at least 1`},
		{"minMember 0", "zero", map[string]any{"minMember": int64(0)}, `spec.minMember in body should be greater than or equal to 1`},
		{"minMember below 0", "less", map[string]any{"minMember": int64(-1)}, `spec.minMember in body should be greater than or equal to 1`},
		{"minMember as text", "text", map[string]any{"minMember": "3"}, `spec.minMember: Invalid value: "string"`},
		{
			"resources below 0", "owes", map[string]any{"minMember": int64(1), "minResources": map[string]any{"cpu": "-1"}},
			`spec.minResources: Invalid value: each quantity must be greater than or equal to 0`,
		},
		{
			"a name that is no label's value", long, map[string]any{"minMember": int64(1)},
			`metadata.name: Invalid value: must be no more than 63 characters: pods carry it as the value of a label`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			object := map[string]any{
				"apiVersion": kube.PodGroupKind.GroupVersion().String(), "kind": kube.PodGroupKind.Kind,
				"metadata": map[string]any{"namespace": w.namespace, "name": tt.group},
			}
			if tt.spec != nil {
				object["spec"] = tt.spec
			}
			_, err := env.dynamic.Resource(kube.PodGroups).Namespace(w.namespace).
				Create(w.ctx, &unstructured.Unstructured{Object: object}, metav1.CreateOptions{})
			if err == nil {
				t.Fatal("it was accepted")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the apiserver says %q; want %q in it", err, tt.want)
			}
		})
	}
}

// patchGroup changes a PodGroup.
func (w *world) patchGroup(name, patch string) {
	w.t.Helper()
	_, err := env.dynamic.Resource(kube.PodGroups).Namespace(w.namespace).
		Patch(w.ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	w.must(err)
}

// awaitMessage waits until a gang's condition says exactly this.
func (w *world) awaitMessage(name, reason, message string) {
	w.t.Helper()
	w.await(fmt.Sprintf("%s: %s: %s", name, reason, message), func() (bool, string) {
		gotReason, got := w.condition(name)
		return gotReason == reason && got == message, gotReason + ": " + got
	})
}

// bad is a gang that cannot be as it is asked for: what it is told, and what makes it go.
type bad struct {
	name            string
	gang            gangSpec
	reason, message string
	mend            func(w *world, g gangSpec)
	then            int // members that are placed once it is mended; 0 where that is not tried
}

func annotated(name string, pairs ...string) gangSpec {
	g := gangOf(name, 2, "1")
	g.annotations = map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		g.annotations[pairs[i]] = pairs[i+1]
	}
	return g
}

// oneOf lets one pod of a gang of some be another.
func oneOf(name string, size, at int, change func(*v1.Pod)) gangSpec {
	g := gangOf(name, size, "1")
	n := 0
	g.members[0].change = func(pod *v1.Pod) {
		if n++; n == at+1 {
			change(pod)
		}
	}
	return g
}

// What may be asked for and cannot be is told on the gang, in words that name the field
// and the mend, and the gang goes on once that is done: nothing is lost.
func TestGangsThatCannotBe(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	high, low := w.priority(7), w.priority(3)
	annotation := func(key string) string { return "metadata.annotations[" + key + "]" }
	object := func(name string) string { return "PodGroup " + w.namespace + "/" + name + ": " }
	annotate := func(patch string) func(*world, gangSpec) {
		return func(w *world, g gangSpec) { w.patchGroup(g.name, `{"metadata":{"annotations":`+patch+`}}`) }
	}
	few := gangOf("few", 8, "1")
	few.floor = 8
	uneven := gangOf("uneven", 4, "1")
	uneven.annotations = map[string]string{kube.SliceSize: "3", kube.SliceTopology: "host"}
	mixed := oneOf("mixed", 2, 1, func(pod *v1.Pod) { pod.Spec.PriorityClassName = low }).withPriority(high)

	for _, tt := range []bad{
		{
			name: "fewer members than the floor", gang: gangSpec{name: "few", floor: 5, members: few.members},
			reason: "WaitingForMembers", message: "3 of 5 members exist; missing: few-worker-1, few-worker-3",
			mend: func(w *world, _ gangSpec) {
				pods := w.pods(few)
				w.createPods([]*v1.Pod{pods[1], pods[3]})
			}, then: 5,
		},
		{
			name: "a member that is held back", gang: oneOf("gated", 2, 1, func(pod *v1.Pod) {
				pod.Spec.SchedulingGates = []v1.PodSchedulingGate{{Name: "example.com/quota"}}
			}),
			reason:  "WaitingForMembers",
			message: "1 of 2 members exist; gated-worker-1 does not count: the pod is held back by scheduling gate example.com/quota",
			mend: func(w *world, _ gangSpec) {
				_, err := env.client.CoreV1().Pods(w.namespace).Patch(w.ctx, "gated-worker-1", types.JSONPatchType,
					[]byte(`[{"op": "remove", "path": "/spec/schedulingGates"}]`), metav1.PatchOptions{})
				w.must(err)
			}, then: 2,
		},
		{
			name: "a member of another scheduler", gang: oneOf("abroad", 2, 1, func(pod *v1.Pod) { pod.Spec.SchedulerName = "other-scheduler" }),
			reason:  "WaitingForMembers",
			message: "1 of 2 members exist; abroad-worker-1 does not count: its schedulerName is other-scheduler",
			mend: func(w *world, g gangSpec) {
				now := int64(0)
				w.must(env.client.CoreV1().Pods(w.namespace).Delete(w.ctx, "abroad-worker-1", metav1.DeleteOptions{GracePeriodSeconds: &now}))
				g.members[0].change = nil
				w.createPods(w.pods(g)[1:])
			}, then: 2,
		},
		{
			name: "members of two priorities", gang: mixed, reason: "MixedPriority",
			message: "members differ in priority: mixed-worker-0 has 7, mixed-worker-1 has 3; give all of them one priorityClassName",
			mend: func(w *world, g gangSpec) {
				now := int64(0)
				w.must(env.client.CoreV1().Pods(w.namespace).Delete(w.ctx, "mixed-worker-1", metav1.DeleteOptions{GracePeriodSeconds: &now}))
				g.members[0].change = nil
				w.createPods(w.pods(g)[1:])
			}, then: 2,
		},
		{
			name: "more than the cluster could ever give", gang: gangOf("vast", 3, "8"), reason: "Impossible",
			message: "3 pods can never fit in the cluster, even if it were empty: the cluster would have room for 2 of them, 8 nvidia.com/gpu short of 24",
			mend:    func(w *world, g gangSpec) { w.patchGroup(g.name, `{"spec":{"minMember":2}}`) }, then: 2,
		},
		{
			name: "a level without a name", gang: annotated("unnamed", kube.RequiredTopology, ""), reason: "PodGroupInvalid",
			message: object("unnamed") + annotation(kube.RequiredTopology) + ": Required value: name a level such as rack, or remove the annotation",
			mend:    annotate(`{"` + kube.RequiredTopology + `":"rack"}`), then: 2,
		},
		{
			name: "a level that is not known", gang: annotated("aisle", kube.RequiredTopology, "aisle"), reason: "TopologyLevelUnknown",
			message: object("aisle") + annotation(kube.RequiredTopology) +
				`: topology level "aisle" is not known; name one of cluster, zone, block, rack, host, or label the nodes`,
			mend: annotate(`{"` + kube.RequiredTopology + `":null}`), then: 2,
		},
		{
			name: "required and preferred alike", gang: annotated("both", kube.RequiredTopology, "rack", kube.PreferredTopology, "rack"),
			reason: "Placed", message: "2 members have a node; 2 are needed", then: 2,
		},
		{
			name: "slices of nothing", gang: annotated("nothing", kube.SliceSize, "0", kube.SliceTopology, "host"), reason: "PodGroupInvalid",
			message: object("nothing") + annotation(kube.SliceSize) + `: Invalid value: "0": must be a whole number from 1, the number of pods in a slice`,
			mend:    annotate(`{"` + kube.SliceSize + `":"2"}`), then: 2,
		},
		{
			name: "slices that do not divide", gang: uneven, reason: "SlicesUneven",
			message: object("uneven") + annotation(kube.SliceSize) +
				`: 4 pods like uneven-worker-3 cannot be cut into slices of 3, which leaves 1 over; make the size divide their number`,
			mend: annotate(`{"` + kube.SliceSize + `":"2"}`), then: 4,
		},
		{
			name: "a time that is none", gang: annotated("soon", kube.ExpectedDuration, "soon"), reason: "PodGroupInvalid",
			message: object("soon") + annotation(kube.ExpectedDuration) + `: Invalid value: "soon": must be a duration above zero, such as 2h30m`,
			mend:    annotate(`{"` + kube.ExpectedDuration + `":"2h"}`), then: 2,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := *w
			w.t = t
			if tt.gang.name == "few" {
				w.createGroup(tt.gang)
				pods := w.pods(few)
				w.createPods([]*v1.Pod{pods[0], pods[2], pods[4]})
			} else {
				w.create(tt.gang)
			}
			w.awaitMessage(tt.gang.name, tt.reason, tt.message)
			if tt.mend != nil {
				tt.mend(&w, tt.gang)
			}
			if tt.then > 0 {
				w.awaitPlaced(tt.gang.name, tt.then)
				w.deleteGang(tt.gang.name)
			}
		})
	}
}
