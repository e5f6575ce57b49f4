package cli

import (
	"context"
	"sync"
	"time"

	"lockstep.dev/lockstep/pkg/devcluster"
)

const (
	firstPause   = time.Second
	longestPause = 30 * time.Second
)

// keepPrograms starts the scheduler and the controller again when they end, as
// a Deployment does. What it returns is closed when it has come to rest after
// the context's end.
func keepPrograms(ctx context.Context, s *screen, cluster *devcluster.Cluster) <-chan struct{} {
	var all sync.WaitGroup
	keep := func(p *devcluster.Process, start func(context.Context, devcluster.ProgramOptions) (*devcluster.Process, error)) {
		if p == nil {
			return
		}
		all.Go(func() { keepProgram(ctx, s, p, start) })
	}
	keep(cluster.Scheduler(), cluster.StartScheduler)
	keep(cluster.Controller(), cluster.StartController)
	rest := make(chan struct{})
	go func() {
		all.Wait()
		close(rest)
	}()
	return rest
}

func keepProgram(ctx context.Context, s *screen, p *devcluster.Process,
	start func(context.Context, devcluster.ProgramOptions) (*devcluster.Process, error),
) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		select {
		case <-ctx.Done():
			return
		case <-p.Done():
		}
		s.say("%s", s.bad(p.Failure().Error()))
		s.say("%s is started again in %v", p.Name(), pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		next, err := start(ctx, devcluster.ProgramOptions{})
		switch {
		case err == nil:
			p = next
			s.say("%s runs again", p.Name())
		case ctx.Err() == nil:
			s.say("%s", s.bad(err.Error())) // p has ended still: the loop tries again
		}
	}
}
