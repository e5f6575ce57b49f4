package plugin

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// bindsAtOnce is how many binds are under way at a time. An apiserver that is sent
// thousands at once answers that they are too many and is slower with the rest;
// and with the others waiting in line, one gang after the other gets whole.
const bindsAtOnce = 64

// What comes after a bind makes room for binds: for so long at most, and then so
// many a second.
const (
	yieldTime = 5 * time.Second
	yieldRate = 250
)

// lanes let so many binds through at a time, first come, first served, and tell
// when none is waiting or under way.
type lanes struct {
	slots chan struct{}
	pace  *rate.Limiter

	mu   sync.Mutex
	busy int           // binds in line and under way
	calm chan struct{} // closed while busy is 0
}

func newLanes(most int) *lanes {
	calm := make(chan struct{})
	close(calm)
	return &lanes{slots: make(chan struct{}, most), pace: rate.NewLimiter(yieldRate, 1), calm: calm}
}

// enter waits for a lane. Without an error leave has to follow.
func (l *lanes) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.count(1)
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		l.count(-1)
		return ctx.Err()
	}
}

func (l *lanes) leave() {
	<-l.slots
	l.count(-1)
}

func (l *lanes) count(change int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.busy += change; {
	case l.busy == 0:
		close(l.calm)
	case l.busy == 1 && change == 1:
		l.calm = make(chan struct{})
	}
}

// calmed returns a channel that is closed when no bind waits or is under way, and
// whether that is so now.
func (l *lanes) calmed() (calm <-chan struct{}, now bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calm, l.busy == 0
}

// yield waits until no bind waits or is under way, and none is about to come, for
// yieldTime at most. Those who yield go on one after the other, and stop when binds
// come up meanwhile.
func (l *lanes) yield(ctx context.Context, coming func() bool) {
	ctx, cancel := context.WithTimeout(ctx, yieldTime)
	defer cancel()
	for {
		calm, _ := l.calmed()
		select {
		case <-calm:
		case <-ctx.Done():
			return
		}
		if l.pace.Wait(ctx) != nil {
			return
		}
		if _, now := l.calmed(); now && !coming() {
			return
		}
	}
}
