package advisor

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/controller"
)

// program is a job's first Worker that tells how old its checkpoint is, by a clock that runs
// ahead as told.
type program struct {
	mu    sync.Mutex
	ahead time.Duration
	saved time.Time
}

func (p *program) now() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Add(p.ahead)
}

// save writes a checkpoint after a while, and lets time pass after it.
func (p *program) save(before, after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ahead += before
	p.saved = time.Now().Add(p.ahead)
	p.ahead += after
}

func (p *program) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Port() != "9100" || r.URL.Path != "/metrics" {
		return nil, fmt.Errorf("%s is not where the job answers", r.URL)
	}
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	text := fmt.Sprintf("lockstep_seconds_since_checkpoint %f\n", now.Sub(p.saved).Seconds())
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(text))}, nil
}

// TestLiveAwaitsACheckpoint: a job that tells of its checkpoints grows right after one. What it
// has told is in its status.
func TestLiveAwaitsACheckpoint(t *testing.T) {
	p := &program{}
	l := newLiveWith(t, Options{now: p.now, transport: p})
	p.save(time.Second, 0)
	l.createGang("small", 4)
	l.awaitBound("small", 4)
	l.createGang("large", 8) // nobody grows beyond what was asked for while it waits
	l.create(strings.Replace(elasticJob, "lockstep.dev/autoscale: cluster", `lockstep.dev/autoscale: cluster, lockstep.dev/steps-port: "9100"`, 1))
	l.awaitBound("job", 2)
	told := func(what string, is func(v1.Checkpoint) bool) {
		l.await(what, func() (bool, any) {
			progress := l.job("job").Status.Progress
			return progress != nil && progress.Checkpoint != nil && is(*progress.Checkpoint), progress
		})
	}
	told("its first checkpoint", func(c v1.Checkpoint) bool { return c.EverySeconds == 0 })
	p.save(10*time.Minute, 0)
	told("another", func(c v1.Checkpoint) bool { return !c.Last.Time.Before(p.saved.Truncate(time.Second)) })
	p.save(10*time.Minute, 9*time.Minute)
	told("how often it writes one", func(c v1.Checkpoint) bool { return c.EverySeconds >= 600 && c.EverySeconds < 1200 })

	l.must(l.client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(namespace), client.MatchingLabels{controller.LabelPodGroup: "large"}))
	l.awaitVerdict("job", "Awaiting", "it grows to 4 right after its next checkpoint")
	if got := *l.job("job").Spec.PyTorchReplicaSpecs[v1.Worker].Replicas; got != 2 {
		t.Errorf("Worker.replicas is %d before that", got)
	}
	p.save(0, 0)
	l.awaitBound("job", 4)
}
