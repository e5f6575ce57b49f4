package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
)

// turn is one scheduler's go: a namespace, the scheduler, and a watch that notes
// when each pod is bound, and where.
type turn struct {
	*stage
	contestant scheduler
	namespace  string
	player     player
	stopWatch  context.CancelFunc
	repeat     int  // from 1
	elected    bool // schedulers that are started take their lease before they act
	record     func(metric string, value float64)

	mu      sync.Mutex
	created map[string]time.Time // by pod
	bound   map[string]binding   // by pod
	changed chan struct{}        // closed and replaced at every bind
	// observe is told of every change of a pod of this turn, one at a time; may be nil.
	observe func(pod *v1.Pod, gone bool)
}

// binding is where a pod was bound, and when that was seen.
type binding struct {
	node string
	at   time.Time
}

// player is a scheduler that runs.
type player interface {
	// Pid is the process, this one's for a player that is part of it.
	Pid() int
	Done() <-chan struct{}
	// Failure describes an end that nobody asked for.
	Failure() error
	Kill()
	// Stop asks it to end and waits for that.
	Stop() error
}

// begin returns a turn that can be ended also beside an error.
func (s *stage) begin(ctx context.Context, contestant scheduler) (*turn, error) {
	s.turns++
	t := &turn{
		stage: s, contestant: contestant, namespace: fmt.Sprintf("bench-%d", s.turns),
		created: map[string]time.Time{}, bound: map[string]binding{}, changed: make(chan struct{}),
	}
	namespace := &v1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: t.namespace}}
	if _, err := s.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return t, err
	}
	err := t.poll(ctx, "the service account that pods need", func(ctx context.Context) (bool, error) {
		_, err := s.client.CoreV1().ServiceAccounts(t.namespace).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil // it is asked again
	})
	if err != nil {
		return t, err
	}
	watch, stop := context.WithCancel(ctx)
	t.stopWatch = stop
	if err := t.watch(watch); err != nil {
		return t, err
	}
	t.player, err = contestant.start(ctx, t)
	return t, err
}

// end takes everything away again and waits for that, so that the next turn has
// the control plane to itself.
func (t *turn) end(ctx context.Context) error {
	if t.stopWatch != nil {
		t.stopWatch()
	}
	if t.player != nil {
		t.player.Kill()
	}
	now := int64(0)
	err := retry.OnError(retry.DefaultBackoff, apierrors.IsTimeout, func() error { // each deletes some thousands in a minute
		return t.client.CoreV1().Pods(t.namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{})
	})
	if err != nil {
		return err
	}
	if err := t.client.CoreV1().Namespaces().Delete(ctx, t.namespace, metav1.DeleteOptions{}); err != nil {
		return err
	}
	err = t.poll(ctx, "the end of namespace "+t.namespace, func(ctx context.Context) (bool, error) {
		_, err := t.client.CoreV1().Namespaces().Get(ctx, t.namespace, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	if err != nil {
		t.log(err.Error()) // the next turn has another namespace, and company
	}
	return ctx.Err()
}

func (t *turn) poll(ctx context.Context, what string, done wait.ConditionWithContextFunc) error {
	if err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 2*time.Minute, true, done); err != nil {
		return fmt.Errorf("wait for %s: %w", what, err)
	}
	return nil
}

func (t *turn) watch(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(t.client, 0, informers.WithNamespace(t.namespace))
	informer := factory.Core().V1().Pods().Informer()
	see := func(o any, gone bool) {
		if last, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = last.Obj
		}
		pod, ok := o.(*v1.Pod)
		if !ok {
			return
		}
		t.mu.Lock()
		observe := t.observe
		t.mu.Unlock()
		if observe != nil {
			observe(pod, gone)
		}
		if gone || pod.Spec.NodeName == "" {
			return
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if _, asked := t.created[pod.Name]; !asked {
			return // it was put there to fill the node
		}
		if _, known := t.bound[pod.Name]; !known {
			t.bound[pod.Name] = binding{pod.Spec.NodeName, time.Now()}
			close(t.changed)
			t.changed = make(chan struct{})
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { see(o, false) }, UpdateFunc: func(_, o any) { see(o, false) }, DeleteFunc: func(o any) { see(o, true) },
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return nil
}

// watchPods has every change of a pod of this turn told from now on.
func (t *turn) watchPods(observe func(pod *v1.Pod, gone bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.observe = observe
}

// awaitBound waits until n pods of this turn are bound.
func (t *turn) awaitBound(ctx context.Context, n int) error {
	have, err := t.awaitQuiet(ctx, n, turnLimit)
	if err == nil && have < n {
		err = fmt.Errorf("%d of %d pods were bound, and no other for %s", have, n, turnLimit)
	}
	return err
}

// awaitWithin waits until pods of a load are bound, for as long as limit, and returns
// whether they are.
func (t *turn) awaitWithin(ctx context.Context, pods []place, limit time.Duration) (bool, error) {
	over := time.After(limit)
	have, err := t.await(ctx, len(pods), func() int {
		n := 0
		for _, p := range pods {
			if _, bound := t.bound[podName(p.gang, p.member)]; bound {
				n++
			}
		}
		return n
	}, func() <-chan time.Time { return over })
	return have == len(pods), err
}

// awaitQuiet waits until n pods of this turn are bound, or none is any more for a
// while, and returns how many are.
func (t *turn) awaitQuiet(ctx context.Context, n int, quiet time.Duration) (int, error) {
	return t.await(ctx, n, func() int { return len(t.bound) }, func() <-chan time.Time { return time.After(quiet) })
}

// await waits until n of those that count says are bound, and after each bind for as
// long as patience says.
func (t *turn) await(ctx context.Context, n int, count func() int, patience func() <-chan time.Time) (int, error) {
	for {
		t.mu.Lock()
		have, changed := count(), t.changed
		t.mu.Unlock()
		if have >= n {
			return have, nil
		}
		select {
		case <-changed:
		case <-patience():
			return have, nil
		case <-t.player.Done():
			return have, t.player.Failure()
		case <-ctx.Done():
			return have, fmt.Errorf("%d of %d pods bound: %w", have, n, context.Cause(ctx))
		}
	}
}
