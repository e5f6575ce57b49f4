package integration

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/invariants"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/topology"
)

// awaitNothingFits waits until no gang waits that fits, by the planner and within its
// queue's cap. One that goes on waiting breaks L1.
func (w *world) awaitNothingFits() {
	w.t.Helper()
	w.await("a cluster on which nothing waits that fits", func() (bool, string) {
		verdicts := w.verdicts()
		var left []string
		w.history.recording.Do(func() {
			for _, verdict := range verdicts {
				w.history.see(invariants.Event{At: time.Now(), Verdict: verdict})
				if verdict.Fits && !w.history.checker.Heard(verdict.Gang) {
					left = append(left, "no word yet of "+verdict.Gang.String())
				}
			}
			for _, suspicion := range w.history.checker.Suspected() {
				if strings.HasPrefix(suspicion, "L1 ") {
					left = append(left, suspicion)
				}
			}
		})
		return len(left) == 0, strings.Join(left, ", ")
	})
}

// verdicts say of each gang of the test that waits whether it fits beside those before it.
func (w *world) verdicts() []*invariants.Verdict {
	w.t.Helper()
	listing, named := kube.Listing{}, []cluster.Node(nil)
	nodes, err := env.client.CoreV1().Nodes().List(w.ctx, metav1.ListOptions{LabelSelector: poolLabel + "=" + w.namespace})
	w.must(err)
	for i := range nodes.Items {
		listing.Nodes = append(listing.Nodes, &nodes.Items[i])
		named = append(named, cluster.Node{Name: nodes.Items[i].Name, Labels: nodes.Items[i].Labels})
	}
	pods, err := env.client.CoreV1().Pods(w.namespace).List(w.ctx, metav1.ListOptions{})
	w.must(err)
	for i := range pods.Items {
		listing.Pods = append(listing.Pods, &pods.Items[i])
	}
	groups, err := env.dynamic.Resource(kube.PodGroups).Namespace(w.namespace).List(w.ctx, metav1.ListOptions{})
	w.must(err)
	for i := range groups.Items {
		group := &v1alpha1.PodGroup{}
		w.must(runtime.DefaultUnstructuredConverter.FromUnstructured(groups.Items[i].Object, group))
		listing.PodGroups = append(listing.PodGroups, group)
	}
	levels, _ := topology.Discover(named)
	offline := kube.NewOffline(listing, topology.InUse(levels, named), func(scheduler string) bool { return scheduler == "lockstep" })
	var list []*invariants.Verdict
	for _, key := range offline.Queue() {
		before, _ := offline.Standing(key)
		offline.Try(key)
		if s, known := offline.Standing(key); known {
			list = append(list, &invariants.Verdict{Gang: key, Fits: before.Status.Phase == gang.Queued && s.Fits(), Text: fmt.Sprint(s.Used)})
		}
	}
	return list
}
