package cli

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// running is a command while it runs.
type running struct {
	t        *testing.T
	mu       sync.Mutex
	out, err bytes.Buffer
	wrote    chan struct{}
	code     chan int
}

// sink is one of the outputs of a command that runs.
type sink struct {
	*running
	to *bytes.Buffer
}

func (s sink) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.wrote <- struct{}{}:
	default:
	}
	return s.to.Write(text)
}

// start runs a command line against the server.
func (a *apiserver) start(args ...string) *running {
	f := &running{t: a.t, wrote: make(chan struct{}, 1), code: make(chan int, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	a.t.Cleanup(cancel)
	go func() {
		f.code <- run(ctx, "lockstep", append(slices.Clip(args), "--kubeconfig", a.kubeconfig), sink{f, &f.out}, sink{f, &f.err})
	}()
	return f
}

// until waits for a text in the output or among the notes.
func (f *running) until(text string) {
	f.t.Helper()
	deadline := time.After(time.Minute)
	for {
		f.mu.Lock()
		found := strings.Contains(f.out.String()+f.err.String(), text)
		f.mu.Unlock()
		if found {
			return
		}
		select {
		case <-f.wrote:
		case <-deadline:
			f.t.Fatalf("%q did not come; output %q, notes %q", text, f.out.String(), f.err.String())
		}
	}
}

// end waits for the end of the command and returns its lines in order.
func (f *running) end(want int) []string {
	f.t.Helper()
	select {
	case code := <-f.code:
		if code != want {
			f.t.Errorf("exit code %d, want %d; notes %q", code, want, f.err.String())
		}
	case <-time.After(time.Minute):
		f.t.Fatal("the command did not end")
	}
	lines := strings.Split(strings.TrimSuffix(f.out.String(), "\n"), "\n")
	slices.Sort(lines)
	return lines
}
