package processnode

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/virtual-kubelet/virtual-kubelet/errdefs"
	"github.com/virtual-kubelet/virtual-kubelet/node/api"
)

// fromEnd is the context key that says "none of the lines that exist", which api.ContainerLogOpts cannot say.
type fromEnd struct{}

// GetContainerLogs streams what a container wrote; Previous means its last attempt but one.
func (r *Runtime) GetContainerLogs(ctx context.Context, namespace, name, container string, o api.ContainerLogOpts) (io.ReadCloser, error) {
	p, err := r.byName(namespace, name)
	if err != nil {
		return nil, err
	}
	if containerNamed(p.current(), container) == nil {
		return nil, errdefs.NotFoundf("pod %s/%s has no container %q", namespace, name, container)
	}
	r.mu.Lock()
	have := p.facts.containers[container]
	r.mu.Unlock()
	attempt := int(have.restarts)
	if o.Previous {
		attempt--
		if have.state.Waiting != nil && have.last.Terminated != nil {
			attempt++ // in back-off the last attempt is the previous one, and there is no current one
		}
		if attempt < 0 {
			return nil, errdefs.InvalidInputf("previous terminated container %q in pod %q not found", container, name)
		}
	}
	skip, _ := ctx.Value(fromEnd{}).(bool)
	logs, err := readLog(ctx, p.logPath(container, attempt), o, skip, r.attemptEnded(ctx, p, container, attempt))
	if errors.Is(err, os.ErrNotExist) {
		why := "ContainerCreating"
		if w := have.state.Waiting; w != nil {
			why = w.Reason
		}
		if have.over(attempt) {
			return io.NopCloser(eof{}), nil // it ended before it could write
		}
		return nil, errdefs.InvalidInputf("container %q in pod %q is waiting to start: %s", container, name, why)
	}
	return logs, err
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// over reports whether an attempt has ended. One that writes already may not be said to
// run yet: until then the state is the end of the one before.
func (f containerFacts) over(attempt int) bool {
	if int(f.restarts) != attempt {
		return true
	}
	end := f.state.Terminated
	if end == nil && f.state.Running == nil {
		end = f.last.Terminated
	}
	return end != nil && strings.HasSuffix(end.ContainerID, "/"+strconv.Itoa(attempt))
}

// attemptEnded gives a channel that is closed when the attempt has ended.
func (r *Runtime) attemptEnded(ctx context.Context, p *pod, container string, attempt int) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			r.mu.Lock()
			have, changed := p.facts.containers[container], r.renamed
			r.mu.Unlock()
			if have.over(attempt) {
				return
			}
			select {
			case <-changed:
			case <-p.done:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return ended
}
