package plugin

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What follows a bind goes after the last bind in line, one after the other, and not
// for ever.
func TestYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLanes(2)
		begin := time.Now()
		never := func() bool { return false }
		bind := func(takes time.Duration) {
			if err := l.enter(t.Context()); err != nil {
				t.Error(err)
			}
			time.Sleep(takes)
			l.leave()
		}
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			left []time.Duration
		)
		for range 6 {
			wg.Go(func() {
				bind(time.Second)
				l.yield(t.Context(), never)
				mu.Lock()
				defer mu.Unlock()
				left = append(left, time.Since(begin))
			})
		}
		wg.Wait()
		for i, at := range left {
			if at < 3*time.Second {
				t.Errorf("number %d went on after %s, while others were waiting to be bound", i, at)
			}
			if i > 0 && at == left[i-1] {
				t.Errorf("numbers %d and %d went on at once", i-1, i)
			}
		}

		wg.Go(func() { bind(time.Minute) })
		synctest.Wait()
		begin = time.Now()
		l.yield(t.Context(), never)
		if took := time.Since(begin); took != yieldTime {
			t.Errorf("with a bind that does not end it went on after %s, want %s", took, yieldTime)
		}
		wg.Wait()
		begin = time.Now()
		l.yield(t.Context(), func() bool { return time.Since(begin) < time.Second })
		if took := time.Since(begin); took < time.Second || took > 2*time.Second {
			t.Errorf("with a gang on its way for a second it went on after %s", took)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		begin = time.Now()
		l.yield(ended, never)
		if took := time.Since(begin); took != 0 {
			t.Errorf("a scheduler that ends waits for %s", took)
		}
		wg.Wait()
		begin = time.Now()
		l.yield(t.Context(), never)
		if took := time.Since(begin); took > time.Second/yieldRate {
			t.Errorf("with no bind about it waited for %s", took)
		}
	})
}
