package devcluster

import (
	"context"
	"fmt"
	"time"
)

// pollEvery is short because waiting for four programs one after the other is
// most of a start.
const pollEvery = 50 * time.Millisecond

// await asks check until it says nil. It gives up when the context ends or when
// the process that is waited for does; p may be nil. The error carries what
// check said last and the end of the process's log.
func await(ctx context.Context, p *Process, what string, check func(context.Context) error) error {
	var ended <-chan struct{} // nil: never
	if p != nil {
		ended = p.Done()
	}
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ended:
			return fmt.Errorf("%s: %w", what, p.Failure())
		case <-ctx.Done():
			err = fmt.Errorf("%s: %w; last: %w", what, context.Cause(ctx), err)
			if p != nil {
				err = fmt.Errorf("%w\nthe end of %s:\n%s", err, p.logPath, logTail(p.logPath, p.logStart, tailLines))
			}
			return err
		}
	}
}
