package integration

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	lockstepv1alpha1 "lockstep.dev/lockstep/pkg/apis/lockstep/v1alpha1"
	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// One queue has borrowed all, and gangs of two others wait. Once they have for long enough,
// gangs of the first go, whole, with the reason on them, until every queue has what is fair,
// 4, 4 and 8 of 16 GPUs; then nobody goes any more, though gangs wait in each.
func TestSharesAreTakenBack(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	w.withScheduler(devcluster.ProgramOptions{Config: configWith(t, "reclaimSharesAfterSeconds: 1")})
	queues := []string{w.queue("greedy", "", ""), w.queue("modest", "", ""), w.queue("large", "", "")}
	_, err := env.dynamic.Resource(lockstepv1alpha1.Queues).Patch(w.ctx, queues[2], types.MergePatchType, []byte(`{"spec":{"weight":2}}`), metav1.PatchOptions{})
	w.must(err)
	pair := func(queue, i int) string {
		g := gangOf(fmt.Sprintf("%s-%d", []string{"greedy", "modest", "large"}[queue], i), 2, "2").lingering()
		w.createIn(queues[queue], g)
		return g.name
	}
	for i := range 4 {
		w.awaitPlaced(pair(0, i), 2)
	}
	for i := range 3 {
		pair(1, i)
		pair(2, i)
	}

	ended := map[string]string{} // gangs, each with the one that it went for
	why := regexp.MustCompile(`^ReclaimedForShare: its queue has borrowed more for its weight than queue (\S+) will have with gang \S+/(\S+), ` +
		`which needs room for 2 pods: the whole of \S+/(\S+) goes, of priority 0 `)
	end := func() (n int) {
		t.Helper()
		evicted := w.evicted()
		for _, pod := range slices.Sorted(maps.Keys(evicted)) {
			said := why.FindStringSubmatch(evicted[pod])
			if said == nil || !strings.HasPrefix(pod, said[3]+"-worker-") || !strings.HasSuffix(said[1], strings.TrimRight(said[2], "-0123")) {
				t.Fatalf("%s was evicted: %s", pod, evicted[pod])
			}
			ended[said[3]] = said[2]
			w.await("the event on "+pod, func() (bool, string) {
				text := w.events("ReclaimedForShare")[pod]
				return strings.Contains(text, w.namespace+"/"+said[2]), text
			})
		}
		return len(evicted)
	}
	w.await("the end of a gang", func() (bool, string) { return end() >= 2, "" })
	for victim, winner := range ended {
		for _, args := range [][]string{{"explain", winner}, {"queue"}} {
			w.await(fmt.Sprintf("lockstep %v to tell of the end of %s", args, victim), func() (bool, string) {
				_, out := w.cli(args...)
				return strings.Contains(out, "room is reserved for it on 1 node"), out
			})
		}
		break
	}

	want := []int{4, 4, 8}
	w.await("fair shares", func() (bool, string) {
		end()
		for victim := range ended {
			w.leave(victim)
		}
		held := make([]int, len(queues))
		for i, name := range []string{"greedy", "modest", "large"} {
			for k := range 4 {
				held[i] += 2 * len(w.placed(fmt.Sprintf("%s-%d", name, k)))
			}
		}
		return slices.Equal(held, want), fmt.Sprintf("%v, want %v; ended: %v", held, want, ended)
	})
	end()
	if gone := len(w.events("ReclaimedForShare")); gone != 2*len(ended) || len(ended) > 4 {
		t.Errorf("%d pods were evicted for shares, of gangs %v; want two of each, and no more than four", gone, ended)
	}
	for _, name := range []string{"greedy", "modest", "large"} {
		for k := range 4 {
			w.leave(fmt.Sprintf("%s-%d", name, k))
		}
	}
}

// events of pods with a reason, as the pod and the message.
func (w *world) events(reason string) map[string]string {
	w.t.Helper()
	list, err := env.client.CoreV1().Events(w.namespace).List(w.ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=Pod,reason=" + reason})
	w.must(err)
	found := map[string]string{}
	for i := range list.Items {
		found[list.Items[i].InvolvedObject.Name] = list.Items[i].Message
	}
	return found
}
