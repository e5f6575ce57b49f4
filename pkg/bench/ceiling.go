package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// binders is the number of binds that the ceiling has under way at once: with more
// the apiserver answers "too many requests", and with fewer it waits.
const binders = 32

// ceiling is the fastest scheduler that there could be: it reads every answer from
// the pod itself and only binds. What no scheduler can be faster than is what it
// takes to create and to bind.
//
// Ceiling binds each pod as soon as it sees it, CeilingWhole when it has seen the
// whole gang, which is the least that all-or-nothing asks for: what lies between
// them is the price of not binding a part.
type ceiling struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu  sync.Mutex
	err error
}

func startCeiling(ctx context.Context, t *turn) (player, error) {
	client, err := kubernetes.NewForConfig(t.clientConfig()) // limits of its own, as a process would have
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &ceiling{cancel: cancel, done: make(chan struct{})}
	queue := make(chan *v1.Pod, 1<<16)
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(t.namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("spec.schedulerName", t.contestant.podsName).String()
		}))
	seen := func(pod *v1.Pod) { queue <- pod }
	if t.contestant.name == CeilingWhole {
		seen = wholeGangs(seen)
	}
	_, err = factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(o any) {
		if pod, ok := o.(*v1.Pod); ok && pod.Spec.NodeName == "" {
			seen(pod)
		}
	}})
	if err != nil {
		cancel()
		return nil, err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for range binders {
		go c.work(ctx, client, queue)
	}
	return c, nil
}

// wholeGangs passes pods on when all of their gang have come.
func wholeGangs(pass func(*v1.Pod)) func(*v1.Pod) {
	gangs := map[string][]*v1.Pod{}
	return func(pod *v1.Pod) {
		gang := pod.Annotations[gangAnnotation]
		gangs[gang] = append(gangs[gang], pod)
		if strconv.Itoa(len(gangs[gang])) == pod.Annotations[sizeAnnotation] {
			for _, member := range gangs[gang] {
				pass(member)
			}
		}
	}
}

func (c *ceiling) work(ctx context.Context, client kubernetes.Interface, queue <-chan *v1.Pod) {
	for {
		select {
		case pod := <-queue:
			err := client.CoreV1().Pods(pod.Namespace).Bind(ctx, &v1.Binding{
				ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
				Target:     v1.ObjectReference{Kind: "Node", Name: pod.Annotations[answerAnnotation]},
			}, metav1.CreateOptions{})
			if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
				c.fail(fmt.Errorf("the ceiling binds %s: %w", pod.Name, err))
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (c *ceiling) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		close(c.done)
	}
}

// Pid implements player.
func (c *ceiling) Pid() int { return os.Getpid() }

// Done implements player.
func (c *ceiling) Done() <-chan struct{} { return c.done }

// Failure implements player.
func (c *ceiling) Failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.err)
}

// Kill implements player.
func (c *ceiling) Kill() { c.cancel() }

// Stop is the same.
func (c *ceiling) Stop() error { c.cancel(); return nil }
