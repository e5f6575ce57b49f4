package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
)

func logger(t *testing.T) klog.Logger {
	l, _ := ktesting.NewTestContext(t)
	return l
}

// What an apiserver answers to binds is played by hand here, because a real one
// cannot be made to; test/integration does the same through a proxy.
func TestBind(t *testing.T) {
	resource := schema.GroupResource{Resource: "pods"}
	conflict := apierrors.NewConflict(resource, "p", errors.New("pod is already assigned"))
	tests := []struct {
		name        string
		answers     []error // one per bind; the last is repeated
		pod         func(*v1.Pod)
		wantErr     string
		wantUnknown bool
		wantBinds   int
	}{
		{"at once", []error{nil}, nil, "", false, 1},
		{"throttled, then taken", []error{apierrors.NewTooManyRequests("slow", 1), apierrors.NewTooManyRequests("slow", 1), nil}, nil, "", false, 3},
		{"our own earlier bind", []error{conflict}, func(p *v1.Pod) { p.Spec.NodeName = "n" }, "", false, 1},
		{"somebody else's bind", []error{conflict}, func(p *v1.Pod) { p.Spec.NodeName = "other" }, "somebody else has bound the pod to other", false, 1},
		{"another pod of that name", []error{conflict}, func(p *v1.Pod) { p.UID = "new" }, "deleted and created again", false, 1},
		{"a time-out after which it is bound", []error{apierrors.NewTimeoutError("?", 1)}, func(p *v1.Pod) { p.Spec.NodeName = "n" }, "", false, 1},
		{"a time-out after which it is not", []error{apierrors.NewTimeoutError("?", 1), nil}, nil, "", false, 2},
		{"a time-out, then a refusal", []error{apierrors.NewTimeoutError("?", 1), apierrors.NewForbidden(resource, "p", errors.New("policy"))}, nil, "policy", false, 2},
		{"refused", []error{apierrors.NewForbidden(resource, "p", errors.New("policy"))}, nil, "policy", false, 1},
		{"gone", []error{apierrors.NewNotFound(resource, "p")}, nil, "not found", false, 1},
		{"errors for ever", []error{apierrors.NewInternalError(errors.New("etcd"))}, nil, "was tried for", false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u"}}
				stored := pod.DeepCopy()
				if tt.pod != nil {
					tt.pod(stored)
				}
				client := fake.NewClientset(stored)
				binds := 0
				client.PrependReactor("create", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
					if action.GetSubresource() != "binding" {
						return false, nil, nil
					}
					binding := action.(clienttesting.CreateAction).GetObject().(*v1.Binding)
					if binding.UID != "u" || binding.Target.Name != "n" {
						t.Errorf("bind of %s to %s", binding.UID, binding.Target.Name)
					}
					answer := tt.answers[min(binds, len(tt.answers)-1)]
					binds++
					return true, nil, answer
				})
				unknown, err := binder{client: client, lanes: newLanes(1), timeout: time.Minute}.bind(context.Background(), pod, "n")
				if (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("error %v, want %q in it", err, tt.wantErr)
				}
				if unknown != tt.wantUnknown {
					t.Errorf("unknown %t, want %t", unknown, tt.wantUnknown)
				}
				if tt.wantBinds > 0 && binds != tt.wantBinds {
					t.Errorf("%d binds, want %d", binds, tt.wantBinds)
				}
			})
		})
	}
}

// When neither the bind nor the pod can be seen, it is not known whether it is bound.
func TestBindThatNobodyCanSee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		nothing := func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("connection refused")
		}
		client.PrependReactor("*", "pods", nothing)
		pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u"}}
		unknown, err := binder{client: client, lanes: newLanes(1), timeout: time.Minute}.bind(context.Background(), pod, "n")
		if err == nil || !unknown {
			t.Errorf("error %v, unknown %t", err, unknown)
		}
	})
}

// The answer to a bind was lost, and so was the look at the pod; what comes after,
// a refusal as well, does not say that the first bind did not take place.
func TestBindRefusedAfterADoubtfulOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u"}}
		bound := pod.DeepCopy()
		bound.Spec.NodeName = "n"
		client := fake.NewClientset(bound)
		answers := []error{errors.New("connection reset"), apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "p", errors.New("policy"))}
		binds, gets := 0, 0
		client.PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			binds++
			return true, nil, answers[binds-1]
		})
		client.PrependReactor("get", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			gets++
			if gets == 1 {
				return true, nil, errors.New("connection refused")
			}
			return false, nil, nil
		})
		if unknown, err := (binder{client: client, lanes: newLanes(1), timeout: time.Minute}).bind(context.Background(), pod, "n"); err != nil || unknown {
			t.Errorf("error %v, unknown %t; the pod is on its node", err, unknown)
		}
	})
}

// slowBinds is a client of which each bind takes ten seconds, and the first is one
// too many.
type slowBinds struct {
	kubernetes.Interface
	corev1.CoreV1Interface
	corev1.PodInterface

	mu               sync.Mutex
	calls, now, peak int
}

func (s *slowBinds) CoreV1() corev1.CoreV1Interface { return s }

func (s *slowBinds) Pods(string) corev1.PodInterface { return s }

func (s *slowBinds) Bind(context.Context, *v1.Binding, metav1.CreateOptions) error {
	s.mu.Lock()
	s.calls++
	s.now++
	s.peak = max(s.peak, s.now)
	first := s.calls == 1
	s.mu.Unlock()
	time.Sleep(10 * time.Second)
	s.mu.Lock()
	s.now--
	s.mu.Unlock()
	if first {
		return apierrors.NewTooManyRequests("slow", 30)
	}
	return nil
}

// Binds beyond the bound wait in line, and a pod that is tried again lets others
// pass meanwhile. The time that a pod waits in line is not taken from its bind.
func TestBindsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pods, most = 40, 4
		client := &slowBinds{}
		line := newLanes(most)
		var wg sync.WaitGroup
		for i := range pods {
			wg.Go(func() {
				pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprint(i)}}
				b := binder{client: client, lanes: line, timeout: 51 * time.Second}
				if _, err := b.bind(t.Context(), pod, "n"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if client.calls != pods+1 || client.peak != most {
			t.Errorf("%d binds, %d at once; want %d and %d", client.calls, client.peak, pods+1, most)
		}
		if _, calm := line.calmed(); len(line.slots) != 0 || !calm {
			t.Errorf("%d lanes are still taken", len(line.slots))
		}
	})
}
