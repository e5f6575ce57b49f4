package integration

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// withScheduler replaces the scheduler by one with other options for the rest of
// the test, or until the returned function is called.
func (w *world) withScheduler(options devcluster.ProgramOptions) (back func()) {
	w.t.Helper()
	env.cluster.Scheduler().Kill()
	start := func(options devcluster.ProgramOptions) {
		ctx, cancel := context.WithTimeout(w.ctx, patience)
		defer cancel()
		if _, err := env.cluster.StartScheduler(ctx, options); err != nil {
			w.t.Fatal(err)
		}
	}
	start(options)
	back = sync.OnceFunc(func() {
		env.cluster.Scheduler().Kill()
		start(devcluster.ProgramOptions{})
	})
	w.t.Cleanup(back)
	return back
}

// A scheduler that is killed when k of 8 members are bound leaves a gang that
// runs in part. The next one completes it, close to what is there.
func TestSchedulerKilledAfterSomeBinds(t *testing.T) {
	for k := 1; k < 8; k++ {
		t.Run(fmt.Sprintf("%d-of-8", k), func(t *testing.T) {
			w := newWorld(t, fakenodes.Shape{}, 8) // two racks of 4 nodes x 8 GPUs
			p := newProxy(t)
			var passed atomic.Int64
			stuck := make(chan struct{}, 64)
			p.onBind(func(rw http.ResponseWriter, r *http.Request, forward http.Handler) {
				if passed.Add(1) <= int64(k) {
					forward.ServeHTTP(rw, r)
					return
				}
				stuck <- struct{}{}
				<-r.Context().Done()
			})
			back := w.withScheduler(devcluster.ProgramOptions{Kubeconfig: p.kubeconfig})
			w.create(gangOf("gang", 8, "4"))
			before := w.awaitPlaced("gang", k)
			<-stuck
			back()
			after := w.awaitPlaced("gang", 8)
			for pod, node := range before {
				if after[pod] != node {
					t.Errorf("%s was on %s and is on %s", pod, node, after[pod])
				}
			}
			w.sameRack(after)
			w.awaitReason("gang", "Placed")
		})
	}
}

// A scheduler that dies when it has evicted some members of a gang leaves a part of it that
// nobody completes, as nothing creates its pods anew. The next one ends the rest.
func TestSchedulerKilledAfterSomeEvictions(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 3)
	w.create(gangOf("victim", 3, "8").withPriority(w.priority(1)))
	w.awaitPlaced("victim", 3)
	p := newProxy(t)
	var passed atomic.Int64
	stuck := make(chan struct{}, 64)
	p.onDelete(func(rw http.ResponseWriter, r *http.Request, forward http.Handler) {
		if passed.Add(1) == 1 {
			forward.ServeHTTP(rw, r)
			return
		}
		stuck <- struct{}{}
		<-r.Context().Done()
	})
	back := w.withScheduler(devcluster.ProgramOptions{Kubeconfig: p.kubeconfig})
	w.create(gangOf("urgent", 1, "8").withPriority(w.priority(1000)))
	<-stuck
	w.awaitPlaced("urgent", 1) // the room of the one that went is enough
	if left := w.placed("victim"); len(left) != 2 {
		t.Fatalf("of victim %v are left, want 2", left)
	}
	back()
	w.await("the end of the rest", func() (bool, string) {
		left := w.placed("victim")
		return len(left) == 0, fmt.Sprint(left)
	})
}

// Answers that leave open whether a bind took place, or ask to come again later,
// must not leave a part of a gang behind.
func TestBindsThatFailForAWhile(t *testing.T) {
	answer := func(code int, header map[string]string) func(http.ResponseWriter) {
		return func(rw http.ResponseWriter) {
			for name, value := range header {
				rw.Header().Set(name, value)
			}
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(code)
			fmt.Fprintf(rw, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"made by the test","code":%d}`, code)
		}
	}
	tests := []struct {
		name     string
		commit   bool // the apiserver carries the bind out all the same
		response func(http.ResponseWriter)
	}{
		{"too-many-requests", false, answer(http.StatusTooManyRequests, map[string]string{"Retry-After": "1"})},
		{"conflict", false, answer(http.StatusConflict, nil)},
		{"internal-error", false, answer(http.StatusInternalServerError, nil)},
		{"unavailable", false, answer(http.StatusServiceUnavailable, nil)},
		{"gateway-time-out", false, answer(http.StatusGatewayTimeout, nil)},
		{"reply-lost", true, func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
		{"gateway-time-out-after-commit", true, answer(http.StatusGatewayTimeout, nil)},
	}
	w := newWorld(t, fakenodes.Shape{}, 8)
	p := newProxy(t)
	w.withScheduler(devcluster.ProgramOptions{Kubeconfig: p.kubeconfig})
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var failed sync.Map
			p.onBind(func(rw http.ResponseWriter, r *http.Request, forward http.Handler) {
				if n, _ := failed.LoadOrStore(r.URL.Path, new(atomic.Int64)); n.(*atomic.Int64).Add(1) <= 2 {
					if tt.commit {
						forward.ServeHTTP(httptest.NewRecorder(), r)
					}
					tt.response(rw)
					return
				}
				forward.ServeHTTP(rw, r)
			})
			name := fmt.Sprintf("gang-%d", i)
			w.create(gangOf(name, 8, "1"))
			w.awaitPlaced(name, 8)
			w.awaitReason(name, "Placed")
		})
	}
}

// A bind that is refused for good leaves the gang in part; the reason says so,
// and when the cause is gone the gang heals.
func TestBindRefusedForGood(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 4)
	p := newProxy(t)
	w.withScheduler(devcluster.ProgramOptions{Kubeconfig: p.kubeconfig})
	var mended atomic.Bool
	p.onBind(func(rw http.ResponseWriter, r *http.Request, forward http.Handler) {
		if !mended.Load() && r.URL.Path == fmt.Sprintf("/api/v1/namespaces/%s/pods/gang-worker-3/binding", w.namespace) {
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusForbidden)
			fmt.Fprint(rw, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":"policy says no","code":403}`)
			return
		}
		forward.ServeHTTP(rw, r)
	})
	w.create(gangOf("gang", 8, "1"))
	w.awaitPlaced("gang", 7)
	w.await("a reason that names the refusal", func() (bool, string) {
		reason, message := w.condition("gang")
		return reason == "BindFailed", reason + ": " + message
	})
	mended.Store(true)
	w.awaitPlaced("gang", 8)
}

// sameRack fails the test when the nodes are in more than one rack.
func (w *world) sameRack(placed map[string]string) {
	w.t.Helper()
	racks := map[string]bool{}
	for _, node := range placed {
		racks[w.label(node, fakenodes.RackLabel)] = true
	}
	if len(racks) != 1 {
		w.t.Errorf("the gang is spread over %d racks: %v", len(racks), placed)
	}
}
