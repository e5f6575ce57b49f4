package processnode

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// retryPause is the wait before something that may come right by itself is tried again, such as a missing ConfigMap.
const retryPause = 2 * time.Second

// pod is one pod on its way from start to end. A single goroutine (run) walks it through; one more for each
// container runs beside it.
type pod struct {
	r    *Runtime
	uid  types.UID
	name string
	dir  string
	born time.Time

	// Under r.mu: the object with its last status, the facts, and the text of the hosts file.
	object *v1.Pod
	facts  facts
	hosts  string

	volumes map[string]volume

	// ctx ends when the pod shall end; killed is closed when its grace is over.
	ctx    context.Context
	cancel context.CancelFunc
	killed chan struct{}
	kill   func()
	// done is closed when no process of the pod is left and its last status has been published.
	done chan struct{}

	deadlineMu sync.Mutex
	deadline   *time.Timer
}

func newPod(r *Runtime, object *v1.Pod) *pod {
	ctx, cancel := context.WithCancel(context.Background())
	killed := make(chan struct{})
	p := &pod{
		r: r, object: object, uid: object.UID, name: object.Name, born: time.Now(), dir: filepath.Join(r.opts.DataDir, "pods", string(object.UID)),
		facts: facts{hostIP: hostIP, containers: map[string]containerFacts{}},
		ctx:   ctx, cancel: cancel, killed: killed, kill: sync.OnceFunc(func() { close(killed) }),
		done: make(chan struct{}),
	}
	p.facts.restore(object)
	return p
}

// run is the pod's whole life.
func (p *pod) run() {
	defer close(p.done)
	begin := now()
	p.change(func(f *facts) { f.startTime, f.finished = &begin, f.finished || f.rejected != nil })
	if why := p.facts.rejected; why != nil {
		p.event(v1.EventTypeWarning, why.reason, why.message)
		return
	}
	if p.facts.finished {
		return
	}
	if paths := ignoredFields(p.current()); len(paths) > 0 {
		p.event(v1.EventTypeWarning, "FieldsIgnored", "The process node does not act on "+strings.Join(paths, ", "))
	}
	p.armDeadline()
	if p.prepare() {
		p.runContainers()
	}
	p.finish()
}

// prepare makes address and volumes. It goes on trying until it succeeds or the pod shall end.
func (p *pod) prepare() bool {
	said := ""
	for {
		err := p.tryPrepare()
		if err == nil {
			return true
		}
		if err.Error() != said {
			said = err.Error()
			p.event(v1.EventTypeWarning, "FailedMount", said)
			p.waiting("ContainerCreating", said)
		}
		if !p.pause(retryPause) {
			return false
		}
	}
}

func (p *pod) tryPrepare() error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	if p.facts.podIP == "" {
		if err := p.connect(); err != nil {
			return fmt.Errorf("network of the pod: %w", err)
		}
	}
	var err error
	p.volumes, err = makeVolumes(p.current(), filepath.Join(p.dir, "volumes"), p.downward(), p.r.cluster, p.r.own)
	return err
}

func (p *pod) connect() error {
	r := p.r
	r.mu.Lock()
	address, err := r.addresses.take()
	r.mu.Unlock()
	if err != nil {
		return err
	}
	if err := r.sandbox.AddNetwork(string(p.uid), address); err != nil {
		r.mu.Lock()
		r.addresses.release(address)
		r.mu.Unlock()
		return err
	}
	p.change(func(f *facts) { f.podIP = address })
	return nil
}

// runContainers runs the init containers one after another, then the main ones at once, and waits for all.
func (p *pod) runContainers() {
	besides, stopBesides := context.WithCancel(p.ctx)
	defer stopBesides()
	object := p.current()
	var sidecars, mains sync.WaitGroup
	for i := range object.Spec.InitContainers {
		c := &object.Spec.InitContainers[i]
		if isSidecar(c, true) {
			started := make(chan struct{})
			sidecars.Go(func() { newContainer(p, c, true, sync.OnceFunc(func() { close(started) })).run(besides) })
			select {
			case <-started:
			case <-p.ctx.Done():
			}
			continue
		}
		if code := newContainer(p, c, true, nil).run(p.ctx); code != 0 || p.ctx.Err() != nil {
			stopBesides()
			sidecars.Wait()
			return
		}
	}
	if p.ctx.Err() == nil {
		p.change(func(f *facts) { f.initialized = true })
		for i := range object.Spec.Containers {
			mains.Go(func() { newContainer(p, &object.Spec.Containers[i], false, nil).run(p.ctx) })
		}
		mains.Wait()
	}
	stopBesides()
	sidecars.Wait()
}

// finish frees what the pod held and publishes its last status.
func (p *pod) finish() {
	p.stopDeadline()
	r := p.r
	r.mu.Lock()
	address := p.facts.podIP
	r.addresses.release(address)
	r.mu.Unlock()
	if err := r.sandbox.RemoveNetwork(string(p.uid)); err != nil && r.sandboxLives() {
		r.log.Warn("network of a pod stays", "pod", p.name, "error", err)
	}
	p.change(func(f *facts) {
		f.finished = true
		for name, c := range f.containers {
			c.ready, c.started = false, false
			// A container that was waiting to be restarted is as it was left.
			if c.state.Terminated == nil && c.last.Terminated != nil {
				c.state = c.last
			}
			f.containers[name] = c
		}
	})
}

func (r *Runtime) sandboxLives() bool {
	select {
	case <-r.sandbox.Done():
		return false
	default:
		return true
	}
}

// change edits the facts and publishes the status that follows from them.
func (p *pod) change(edit func(*facts)) {
	p.r.mu.Lock()
	edit(&p.facts)
	p.r.mu.Unlock()
	p.r.publish(p)
}

// waiting says of every container that has not begun why not.
func (p *pod) waiting(reason, message string) {
	p.change(func(f *facts) {
		for _, list := range [][]v1.Container{p.object.Spec.InitContainers, p.object.Spec.Containers} {
			for _, c := range list {
				f.containers[c.Name] = containerFacts{state: v1.ContainerState{
					Waiting: &v1.ContainerStateWaiting{Reason: reason, Message: message},
				}}
			}
		}
	})
}

// stop asks the pod to end: SIGTERM now, SIGKILL after the grace. Of several calls the earliest end counts.
func (p *pod) stop(grace time.Duration) {
	p.cancel()
	if grace <= 0 {
		p.kill()
		return
	}
	time.AfterFunc(grace, p.kill)
}

// pause waits; false means that the pod shall end.
func (p *pod) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-p.ctx.Done():
		return false
	}
}

func (p *pod) gracePeriod() time.Duration {
	if s := p.current().Spec.TerminationGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return 30 * time.Second
}

// armDeadline sets the timer of activeDeadlineSeconds, which counts from the start of the pod on this node.
func (p *pod) armDeadline() {
	p.r.mu.Lock()
	seconds, start := p.object.Spec.ActiveDeadlineSeconds, p.facts.startTime
	p.r.mu.Unlock()
	if seconds == nil || start == nil {
		return
	}
	p.stopDeadline()
	p.deadlineMu.Lock()
	defer p.deadlineMu.Unlock()
	p.deadline = time.AfterFunc(time.Until(start.Add(time.Duration(*seconds)*time.Second)), func() {
		why := rejection{"DeadlineExceeded", "Pod was active on the node longer than the specified deadline"}
		p.event(v1.EventTypeNormal, why.reason, why.message)
		p.change(func(f *facts) { f.failed = &why })
		p.stop(p.gracePeriod())
	})
}

func (p *pod) stopDeadline() {
	p.deadlineMu.Lock()
	defer p.deadlineMu.Unlock()
	if p.deadline != nil {
		p.deadline.Stop()
	}
}

func (p *pod) event(kind, reason, message string) {
	p.r.mu.Lock()
	object := p.object.DeepCopy()
	p.r.mu.Unlock()
	p.r.cluster.Event(object, kind, reason, message)
}

// current is the object as last seen. Its spec and metadata may be read freely: a change replaces the object.
func (p *pod) current() *v1.Pod {
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	return p.object
}

// hostname of the pod; it never changes.
func hostname(object *v1.Pod) string {
	if h := object.Spec.Hostname; h != "" {
		return h
	}
	return object.Name[:min(len(object.Name), 63)]
}

func (p *pod) hostsPath() string { return filepath.Join(p.dir, "hosts") }

// endpoint needs r.mu.
func (p *pod) endpoint() endpoint {
	return endpoint{
		namespace: p.object.Namespace, name: p.object.Name, hostname: hostname(p.object), subdomain: p.object.Spec.Subdomain,
		labels: p.object.Labels, address: p.facts.podIP, ready: isTrue(p.object.Status.Conditions, v1.PodReady),
	}
}

func (p *pod) downward() downward {
	return downward{podIP: p.facts.podIP, hostIP: hostIP, allocatable: p.r.opts.Allocatable}
}
