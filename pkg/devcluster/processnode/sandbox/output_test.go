package sandbox

import (
	"testing"
	"testing/synctest"
	"time"
)

// The last lines of a command may take their time on a busy machine; they are in the log when its end is told.
func TestOutputIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, copied := newLogger(nil), false
		l.busy.Go(func() {
			time.Sleep(drainLimit / 2)
			copied = true
		})
		l.drain()
		if !copied {
			t.Error("the rest of the output is not in the log")
		}
	})
}
