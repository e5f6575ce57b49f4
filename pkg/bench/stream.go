package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// stream is pods of one GPU that never stop coming: whenever one gets its node, the
// next is created, so that as many wait at any time as were asked for. The load is
// above one however slow the control plane is. Each ends after a time of its own, the
// same for every contestant.
type stream struct {
	t           *turn
	least, most time.Duration // that a pod runs
	slots       int           // pods that fill the stage
	random      *rand.Rand
	do          chan func(context.Context) error
	workers     sync.WaitGroup
	stop        context.CancelFunc

	mu      sync.Mutex
	next    int
	tenures map[string]*tenure // by pod
	full    chan struct{}
	failed  error
}

// tenure is the time that a pod has a GPU of a node; ended is zero while it has it.
type tenure struct {
	node         string
	bound, ended time.Time
}

// startStream creates the first pods and returns when the stage is full and others wait.
func (t *turn) startStream(ctx context.Context, waiting int, least, most time.Duration, seed int64) (*stream, error) {
	ctx, stop := context.WithCancel(ctx)
	s := &stream{
		t: t, least: least, most: most, slots: t.nodes * gpusPerNode, random: rand.New(rand.NewSource(seed)), stop: stop,
		tenures: map[string]*tenure{}, full: make(chan struct{}), do: make(chan func(context.Context) error, 1<<14),
	}
	t.watchPods(s.see)
	for range creators {
		s.workers.Go(func() { s.work(ctx) })
	}
	s.mu.Lock()
	for range s.slots + waiting {
		s.create()
	}
	s.mu.Unlock()
	select {
	case <-s.full:
		return s, nil
	case <-t.player.Done():
		return nil, errors.Join(t.player.Failure(), s.end())
	case <-ctx.Done():
		return nil, fmt.Errorf("the nodes are not full: %w", errors.Join(context.Cause(ctx), s.end()))
	}
}

// end lets no more pods come, and returns what went wrong meanwhile.
func (s *stream) end() error {
	s.t.watchPods(nil)
	s.stop()
	s.workers.Wait()
	return s.failed
}

func (s *stream) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case do := <-s.do:
			if err := do(ctx); err != nil && ctx.Err() == nil {
				s.mu.Lock()
				s.failed = errors.Join(s.failed, err)
				s.mu.Unlock()
			}
		}
	}
}

// create has the next pod created. The first ones are as if they had run for a while.
func (s *stream) create() {
	i := s.next
	s.next++
	from := s.least
	if i < s.slots {
		from = 0
	}
	length := from + time.Duration(s.random.Int63n(int64(s.most-from)))
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("small-%06d", i), Annotations: map[string]string{fakenodes.RunForAnnotation: length.Round(time.Millisecond).String()},
		},
		Spec: v1.PodSpec{
			SchedulerName: s.t.contestant.podsName, RestartPolicy: v1.RestartPolicyNever, Containers: containers(1),
		},
	}
	s.do <- func(ctx context.Context) error {
		_, err := s.t.client.CoreV1().Pods(s.t.namespace).Create(ctx, pod, metav1.CreateOptions{})
		return err
	}
}

// see keeps the pods' times, replaces who got a node, and deletes who has ended.
func (s *stream) see(pod *v1.Pod, gone bool) {
	name := pod.Name
	if pod.Spec.NodeName == "" || pod.Annotations[fakenodes.RunForAnnotation] == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	has, known := s.tenures[name]
	if !known {
		has = &tenure{node: pod.Spec.NodeName, bound: time.Now()}
		s.tenures[name] = has
		s.create()
		if len(s.tenures) == s.slots {
			close(s.full)
		}
	}
	if over := gone || pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed; !over || !has.ended.IsZero() {
		return
	}
	has.ended = time.Now()
	if gone {
		return
	}
	s.do <- func(ctx context.Context) error {
		now := int64(0)
		err := s.t.client.CoreV1().Pods(s.t.namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &now})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
}

// all are the tenures so far, by the time of their begin.
func (s *stream) all() []tenure {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []tenure
	for _, t := range s.tenures {
		list = append(list, *t)
	}
	slices.SortFunc(list, func(a, b tenure) int { return a.bound.Compare(b.bound) })
	return list
}
