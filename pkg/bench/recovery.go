package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// tornSize is the size of the gangs that wait when the scheduler comes back.
const tornSize = 8

// recoveryPatience is how long such a gang is waited for.
const recoveryPatience = 30 * time.Second

// measureRecovery is the scenario "recovery": the scheduler is killed again and again on a
// cluster with many bound pods. When it starts anew it finds a gang that is bound in part
// and one that has come meanwhile. Then it is asked to stop (SIGTERM), as often, while
// another stands by, and a gang comes.
func measureRecovery(ctx context.Context, s Settings, report *Report) error {
	kills := 10
	if s.Quick {
		kills = 3
	}
	stage := newStage(s)
	if err := stage.check(comers(kills)); err != nil {
		return err
	}
	if err := stage.start(ctx, s); err != nil {
		return err
	}
	defer stage.close()
	report.Settings["kills"] = kills
	for _, shape := range s.Shapes {
		name := fmt.Sprintf("%d pods bound, in gangs of %d", shape.Gangs*shape.Size, shape.Size)
		err := stage.take(ctx, s, report, name, func(ctx context.Context, t *turn) error { return t.recovery(ctx, shape, kills) })
		if err != nil {
			return err
		}
	}
	return nil
}

// comers are the gangs that come or are torn: three for each kill, and one at the end.
func comers(kills int) load { return load{Shape: Shape{3*kills + 1, tornSize}, gpus: 1} }

func (t *turn) recovery(ctx context.Context, held Shape, kills int) error {
	if err := t.hold(ctx, held); err != nil {
		return err
	}
	l := comers(kills)
	if err := t.createGroups(ctx, l); err != nil {
		return err
	}
	var decided, repaired []float64
	for k := range kills {
		t.player.Kill()
		torn, fresh := l.pods(2*k), l.pods(2*k+1)
		bound := 1 + k%(tornSize-1)
		if err := t.bindByHand(ctx, l, torn[:bound], fakenodes.NodeName(t.nodes-1-k)); err != nil {
			return err
		}
		if err := t.createPods(ctx, l, append(torn[bound:], fresh...)); err != nil {
			return err
		}
		begin := time.Now()
		var err error
		if t.player, err = t.contestant.start(ctx, t); err != nil {
			return err
		}
		for _, gang := range [][]place{fresh, torn} {
			whole, err := t.awaitWithin(ctx, gang, recoveryPatience)
			if err != nil {
				return err
			}
			if !whole {
				return fmt.Errorf("%s is not whole %s after the scheduler was started", gangName(gang[0].gang), recoveryPatience)
			}
		}
		outcomes := t.outcomes(l)
		decided = append(decided, outcomes[2*k+1].first.Sub(begin).Seconds())
		repaired = append(repaired, outcomes[2*k].last.Sub(begin).Seconds())
	}
	followed, err := t.handOvers(ctx, l, 2*kills, kills)
	if err != nil {
		return err
	}
	for _, times := range []struct {
		name string
		took []float64
	}{{"first_bind", decided}, {"repaired", repaired}, {"handed_over", followed}} {
		slices.Sort(times.took)
		t.record(times.name+"_p50_seconds", median(times.took))
		t.record(times.name+"_most_seconds", times.took[len(times.took)-1])
	}
	return nil
}

// handOvers are the seconds from SIGTERM to the leader to the last bind, by the scheduler
// that stood by, of a gang that comes when the leader has ended. It uses n gangs of the load
// from a first one on, and that one to see that the first leader leads.
func (t *turn) handOvers(ctx context.Context, l load, from, n int) (took []float64, err error) {
	t.player.Kill()
	t.elected = true
	if t.player, err = t.contestant.start(ctx, t); err != nil {
		return nil, err
	}
	place := func(gang int) error {
		if err := t.createPods(ctx, l, l.pods(gang)); err != nil {
			return err
		}
		whole, err := t.awaitWithin(ctx, l.pods(gang), recoveryPatience)
		if err == nil && !whole {
			err = fmt.Errorf("%s is not whole %s after it came", gangName(gang), recoveryPatience)
		}
		return err
	}
	if err := place(from); err != nil {
		return nil, err
	}
	for gang := from + 1; gang <= from+n; gang++ {
		leader := t.player
		if t.player, err = t.contestant.start(ctx, t); err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := leader.Stop(); err != nil {
			return nil, err
		}
		if err := place(gang); err != nil {
			return nil, err
		}
		took = append(took, t.outcomes(l)[gang].last.Sub(begin).Seconds())
	}
	return took, nil
}

// hold makes gangs that ask for no GPU and are bound already, evenly over the nodes.
func (t *turn) hold(ctx context.Context, shape Shape) error {
	l := load{Shape: shape}
	err := parallel(ctx, shape.Gangs, func(i int) error {
		if t.contestant.group == nil {
			return nil
		}
		group := t.contestant.group(heldName(i), l)
		_, err := t.dynamic.Resource(group.resource).Namespace(t.namespace).
			Create(ctx, &unstructured.Unstructured{Object: group.object}, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	order := l.gangByGang()
	return parallel(ctx, len(order), func(i int) error {
		pod := t.pod(l, order[i])
		pod.Name, pod.Spec.NodeName = fmt.Sprintf("%s-%d", heldName(order[i].gang), order[i].member), fakenodes.NodeName(i%t.nodes)
		if t.contestant.join != nil {
			t.contestant.join(pod, heldName(order[i].gang))
		}
		_, err := t.client.CoreV1().Pods(t.namespace).Create(ctx, pod, metav1.CreateOptions{})
		return err
	})
}

func heldName(gang int) string { return fmt.Sprintf("held-%04d", gang) }

// bindByHand creates pods on a node, as a scheduler leaves them that was killed between
// two binds of a gang.
func (t *turn) bindByHand(ctx context.Context, l load, pods []place, node string) error {
	t.mu.Lock()
	for _, p := range pods {
		t.created[podName(p.gang, p.member)] = time.Now()
	}
	t.mu.Unlock()
	return parallel(ctx, len(pods), func(i int) error {
		pod := t.pod(l, pods[i])
		pod.Spec.NodeName = node
		_, err := t.client.CoreV1().Pods(t.namespace).Create(ctx, pod, metav1.CreateOptions{})
		return err
	})
}
