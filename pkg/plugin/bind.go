package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// callTimeout bounds one request of a bind.
const callTimeout = 15 * time.Second

// bind binds a member, for as long as it takes within the bind time-out. When it
// is not known at the end whether the bind took place, that is noted, so that the
// node stays held for the pod.
func (e *engine) bind(ctx context.Context, pod *v1.Pod, node string) error {
	if _, err := e.handle.SharedInformerFactory().Core().V1().Nodes().Lister().Get(node); apierrors.IsNotFound(err) {
		err = fmt.Errorf("node %s was deleted", node)
		e.noteFailure(pod, err, false)
		return err
	}
	b := binder{client: e.handle.ClientSet(), lanes: e.lanes, timeout: time.Duration(*e.args.BindTimeoutSeconds) * time.Second}
	begin := time.Now()
	unknown, err := b.bind(ctx, pod, node)
	observeBind(time.Since(begin), err)
	if err != nil {
		e.noteFailure(pod, err, unknown)
		return err
	}
	// The framework writes an event about the pod now, which costs the apiserver as much
	// as a bind: the rest of the gang goes first, and the gang after it.
	e.lanes.yield(ctx, e.holds)
	return nil
}

func (e *engine) noteFailure(pod *v1.Pod, err error, unknown bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failures[string(pod.UID)] = err.Error()
	if unknown {
		e.unknown[string(pod.UID)] = true
	}
}

// binder binds one pod with retries. The framework's own binder gives up after a
// third of a second and does not retry conflicts, throttling or time-outs, which
// would leave gangs bound in part.
type binder struct {
	client  kubernetes.Interface
	lanes   *lanes
	timeout time.Duration // of requests and pauses; waiting in line does not count
}

// bind returns nil when the pod is on the node. unknown is true when the last
// answer did not tell whether it is.
func (b binder) bind(ctx context.Context, pod *v1.Pod, node string) (unknown bool, err error) {
	backoff := wait.Backoff{Duration: 20 * time.Millisecond, Factor: 2, Jitter: 0.3, Steps: 1 << 20, Cap: 2 * time.Second}
	doubt := false // an earlier bind may have taken place
	for left := b.timeout; ; {
		if ended := b.lanes.enter(ctx); ended != nil {
			return unknown, cmp.Or(err, ended)
		}
		begin := time.Now()
		err = b.try(ctx, pod, node, min(left, callTimeout), doubt)
		b.lanes.leave()
		if err == nil {
			return false, nil
		}
		if _, final := errors.AsType[finalError](err); final {
			return false, err
		}
		unknown = ambiguous(err)
		doubt = doubt || unknown
		pause := backoff.Step()
		if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
			pause = max(pause, time.Duration(seconds)*time.Second)
		}
		if left -= time.Since(begin) + pause; left <= 0 {
			return unknown, fmt.Errorf("bind to %s was tried for %s: %w", node, b.timeout, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// finalError is an answer that trying again will not change.
type finalError struct{ error }

// try binds once. After an earlier bind of which nobody knows whether it took place,
// every refusal is looked into.
func (b binder) try(ctx context.Context, pod *v1.Pod, node string, timeout time.Duration, doubt bool) error {
	call, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := b.client.CoreV1().Pods(pod.Namespace).Bind(call, &v1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     v1.ObjectReference{Kind: "Node", Name: node},
	}, metav1.CreateOptions{})
	switch {
	case err == nil:
		return nil
	case apierrors.IsTooManyRequests(err):
		return err
	case apierrors.IsConflict(err) || ambiguous(err):
		return b.reread(ctx, pod, node, err)
	case doubt:
		err = b.reread(ctx, pod, node, err)
		if _, known := errors.AsType[notBound](err); !known {
			return err
		}
	}
	return finalError{err}
}

// reread finds out what a bind has led to. A conflict may be our own earlier bind
// whose answer was lost.
func (b binder) reread(ctx context.Context, pod *v1.Pod, node string, cause error) error {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	now, err := b.client.CoreV1().Pods(pod.Namespace).Get(call, pod.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return finalError{fmt.Errorf("the pod was deleted: %w", cause)}
	case err != nil:
		return fmt.Errorf("%w (and it cannot be read: %w)", cause, err)
	case now.UID != pod.UID:
		return finalError{fmt.Errorf("the pod was deleted and created again: %w", cause)}
	case now.Spec.NodeName == node:
		return nil
	case now.Spec.NodeName != "":
		return finalError{fmt.Errorf("somebody else has bound the pod to %s: %w", now.Spec.NodeName, cause)}
	case now.DeletionTimestamp != nil:
		return finalError{fmt.Errorf("the pod is being deleted: %w", cause)}
	}
	return notBound{cause}
}

// notBound is an error after which the pod is known not to be bound.
type notBound struct{ error }

// Unwrap lets the cause's delay be read.
func (n notBound) Unwrap() error { return n.error }

// ambiguous says whether a failed bind may have taken place.
func ambiguous(err error) bool {
	if _, known := errors.AsType[notBound](err); known {
		return false
	}
	status := apierrors.APIStatus(nil)
	if !errors.As(err, &status) {
		return true // no answer at all
	}
	return status.Status().Code >= 500
}
