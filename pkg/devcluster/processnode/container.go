package processnode

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/devcluster/processnode/sandbox"
)

// container runs one container of a pod again and again as its policy asks.
type container struct {
	p       *pod
	c       *v1.Container
	isInit  bool
	started func() // called when it runs for the first time; may be nil
	attempt int
	warned  bool // that the image is not in the table
}

func newContainer(p *pod, c *v1.Container, isInit bool, started func()) *container {
	return &container{p: p, c: c, isInit: isInit, started: started}
}

// run returns the last exit code once the container will not start again; ctx asks it to end.
func (c *container) run(ctx context.Context) int32 {
	policy := containerPolicy(c.p.current(), c.c, c.isInit)
	if have := c.facts(); have.state.Terminated != nil { // under an earlier process of the node
		if !restarts(policy, have.state.Terminated.ExitCode) {
			return have.state.Terminated.ExitCode
		}
		c.attempt = int(have.restarts)
		c.again(have.state.Terminated)
	}
	var wait time.Duration
	for crashes := 1; ; crashes++ {
		begin := time.Now()
		end, ok := c.once(ctx)
		if !ok {
			return 0
		}
		c.change(func(f *containerFacts) {
			f.state = v1.ContainerState{Terminated: end}
			f.ready, f.started = c.isInit && end.ExitCode == 0, false
		})
		if ctx.Err() != nil || !restarts(policy, end.ExitCode) {
			return end.ExitCode
		}
		ran := time.Since(begin)
		if ran >= calmAfter {
			crashes = 1
		}
		wait = backOff(wait, crashes, ran)
		if !c.backOff(ctx, wait, end) {
			return end.ExitCode
		}
		c.again(end)
	}
}

// again counts the next attempt, after one that ended.
func (c *container) again(end *v1.ContainerStateTerminated) {
	c.attempt++
	c.change(func(f *containerFacts) {
		f.restarts++
		f.last = v1.ContainerState{Terminated: end}
	})
}

func (c *container) backOff(ctx context.Context, wait time.Duration, end *v1.ContainerStateTerminated) bool {
	if wait == 0 {
		return ctx.Err() == nil
	}
	message := fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)",
		wait, c.c.Name, c.p.name, c.p.current().Namespace, c.p.uid)
	c.change(func(f *containerFacts) {
		f.state = v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: message}}
		f.last = v1.ContainerState{Terminated: end}
	})
	c.p.event(v1.EventTypeWarning, "BackOff", message)
	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}

// once runs the container one time; ok is false when it was asked to end before it began.
func (c *container) once(ctx context.Context) (end *v1.ContainerStateTerminated, ok bool) {
	if c.isInit && isMasterWait(c.p.current(), c.c) {
		return c.awaitMaster(ctx), true
	}
	spec, ok := c.configure(ctx)
	if !ok {
		return nil, false
	}
	begin := now()
	exit, err := c.p.r.sandbox.Run(spec)
	if err != nil {
		c.p.event(v1.EventTypeWarning, "Failed", "Error: "+err.Error())
		return &v1.ContainerStateTerminated{
			ExitCode: 128, Reason: "StartError", Message: err.Error(), StartedAt: begin, FinishedAt: now(), ContainerID: c.id(),
		}, true
	}
	c.running()
	probing, stopProbing := context.WithCancel(ctx)
	defer stopProbing()
	if c.c.ReadinessProbe != nil {
		go c.watchReadiness(probing, spec)
	}
	return c.ended(begin, c.await(ctx, spec.ID, exit)), true
}

func (c *container) ended(begin metav1.Time, code int) *v1.ContainerStateTerminated {
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	return &v1.ContainerStateTerminated{ExitCode: int32(code), Reason: reason, StartedAt: begin, FinishedAt: now(), ContainerID: c.id()}
}

// configure makes the container's spec. What is missing in the cluster may still come: it tries until ctx ends.
func (c *container) configure(ctx context.Context) (sandbox.Spec, bool) {
	said := ""
	for ctx.Err() == nil {
		spec, err := c.spec()
		if err == nil {
			return spec, true
		}
		if err.Error() != said {
			said = err.Error()
			c.change(func(f *containerFacts) {
				f.state = v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: said}}
			})
			c.p.event(v1.EventTypeWarning, "Failed", "Error: "+said)
		}
		if !c.p.pause(retryPause) {
			break
		}
	}
	return sandbox.Spec{}, false
}

// await waits for the exit. When ctx ends it asks the container to end, and makes it when the pod's grace is over.
func (c *container) await(ctx context.Context, id string, exit <-chan sandbox.Exit) int {
	select {
	case e := <-exit:
		return e.Code
	case <-ctx.Done():
	}
	c.p.event(v1.EventTypeNormal, "Killing", "Stopping container "+c.c.Name)
	// A failed signal means that the keeper has gone, and then exit tells so.
	_ = c.p.r.sandbox.Signal(id, syscall.SIGTERM)
	var grace <-chan time.Time
	if c.p.ctx.Err() == nil { // a sidecar, whose pod ends by itself
		grace = time.After(c.p.gracePeriod())
	}
	select {
	case e := <-exit:
		return e.Code
	case <-c.p.killed:
	case <-grace:
	}
	_ = c.p.r.sandbox.Signal(id, syscall.SIGKILL)
	return (<-exit).Code
}

func (c *container) running() {
	c.change(func(f *containerFacts) {
		f.state = v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: now()}}
		f.id = c.id()
		f.started = true
		f.ready = !c.isInit && c.c.ReadinessProbe == nil || isSidecar(c.c, c.isInit) && c.c.ReadinessProbe == nil
	})
	c.p.event(v1.EventTypeNormal, "Started", "Started container "+c.c.Name)
	if c.started != nil {
		c.started()
	}
}

func (c *container) facts() containerFacts {
	c.p.r.mu.Lock()
	defer c.p.r.mu.Unlock()
	return c.p.facts.containers[c.c.Name]
}

func (c *container) change(edit func(*containerFacts)) {
	c.p.change(func(f *facts) {
		have := f.containers[c.c.Name]
		edit(&have)
		f.containers[c.c.Name] = have
	})
}

func (c *container) id() string {
	return fmt.Sprintf("process://%s/%s/%d", c.p.uid, c.c.Name, c.attempt)
}

// attemptDir has the log and the private directories of one attempt.
func (p *pod) attemptDir(container string, attempt int) string {
	return filepath.Join(p.dir, "containers", container, strconv.Itoa(attempt))
}

func (p *pod) logPath(container string, attempt int) string {
	return filepath.Join(p.attemptDir(container, attempt), "log")
}

// makeDirs makes the directories of this attempt; those that the command writes to belong to its user.
func (c *container) makeDirs() (string, error) {
	dir := c.p.attemptDir(c.c.Name, c.attempt)
	for name, mode := range map[string]os.FileMode{"root": 0o755, "tmp": 0o700, "home": 0o700} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(path, mode); err != nil {
			return "", err
		}
		if name == "root" {
			continue
		}
		if err := c.p.r.own(path); err != nil {
			return "", err
		}
	}
	return dir, nil
}

func now() metav1.Time { return metav1.NewTime(time.Now().Truncate(time.Second)) }
