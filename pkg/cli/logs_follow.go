package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// attempt is one run of the container of one pod: what has a log of its own.
type attempt struct {
	pod types.UID
	n   int
}

// reading is a log that is followed. Its fields belong to its goroutine until it is
// handed back through logFollower.done.
type reading struct {
	attempt
	name  string
	rank  int
	tries int       // that failed, in a row
	last  time.Time // stamp of the last line
	first bool      // of its rank: --tail and --since apply
	err   error     // why the last try ended; nil: the log has ended
	blind bool      // its lines have no stamps, so that it cannot be read on
}

// maxTries is how often in a row a log may fail without bringing a line.
const maxTries = 5

// logFollower follows the logs of a job. One goroutine reads each log; everything else
// happens in the loop of followAll.
type logFollower struct {
	*logReader
	ctx  context.Context
	pods map[types.UID]*corev1.Pod
	seen map[attempt]bool
	rank map[int]bool // those of which a log has been begun
	open int
	done chan *reading
	over bool // the job has ended or is gone
	mu   sync.Mutex
}

// followAll prints lines as they are written, until the job has ended and all logs have.
func (r *logReader) followAll(caller context.Context) error {
	ctx, cancel := context.WithCancel(caller)
	defer cancel()
	f := &logFollower{logReader: r, ctx: ctx, pods: map[types.UID]*corev1.Pod{}, seen: map[attempt]bool{},
		rank: map[int]bool{}, done: make(chan *reading)}
	reports, err := follow(ctx, r.client, r.dynamic, scope{namespace: r.namespace, job: r.job.Name, pods: true})
	if err != nil {
		return err
	}
	if err := f.begin(); err != nil {
		return err
	}
	for !f.over || f.open > 0 {
		select {
		case report := <-reports:
			err = f.take(report)
		case reading := <-f.done:
			err = f.finish(reading)
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// begin says why there is nothing to read yet.
func (f *logFollower) begin() error {
	pods, err := f.logReader.pods(f.ctx)
	if err != nil {
		return err
	}
	// Read again, now that the watch stands: it may have gone before.
	if f.job, err = f.get(f.ctx, f.job.Name); err != nil {
		return err
	}
	switch {
	case len(pods) == 0 && ended(stateOf(f.job).Type):
		return fmt.Errorf("%s %s", f.name(f.job.Name), f.whyNoPods(f.ctx))
	case len(pods) == 0:
		f.note("%s %s", f.name(f.job.Name), f.whyNoPods(f.ctx))
	case !slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return f.hasContainer(pod) == nil }):
		return f.hasContainer(pods[0])
	case !slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return attemptOf(pod, f.container) >= 0 }):
		f.note("pod %s has no log yet: %s", pods[0].Name, f.whyPending(f.ctx, pods[0]))
	}
	return nil
}

func (f *logFollower) take(r report) error {
	switch {
	case r.err != nil:
		return r.err
	case r.pod != nil && r.gone:
		delete(f.pods, r.pod.UID)
	case r.pod != nil:
		f.takePod(r.pod)
	case r.job != nil && !f.over && (r.gone || ended(stateOf(r.job).Type)):
		// The watch of the pods may lag behind that of the job.
		pods, err := f.logReader.pods(f.ctx)
		if err != nil {
			return err
		}
		for _, pod := range pods {
			f.takePod(pod)
		}
		f.over = true
	}
	return nil
}

// takePod begins to read a log that is new.
func (f *logFollower) takePod(pod *corev1.Pod) {
	rank, ok := f.wanted(pod)
	if !ok {
		return
	}
	f.pods[pod.UID] = pod
	a := attempt{pod.UID, attemptOf(pod, f.container)}
	if a.n < 0 || f.seen[a] {
		return
	}
	if f.rank[rank] {
		f.note("[%d] pod %s has started again", rank, pod.Name)
	}
	f.seen[a] = true
	f.start(&reading{attempt: a, name: pod.Name, rank: rank, first: !f.rank[rank]}, 0)
	f.rank[rank] = true
}

func (f *logFollower) start(r *reading, after time.Duration) {
	f.open++
	go func() {
		select {
		case <-time.After(after):
			r.err = f.read(r)
		case <-f.ctx.Done():
		}
		select {
		case f.done <- r:
		case <-f.ctx.Done():
		}
	}()
}

// errOutput is the end of everything: nobody reads what is printed.
var errOutput = errors.New("write")

// read prints a log until it ends or breaks off.
func (f *logFollower) read(r *reading) error {
	options := &corev1.PodLogOptions{Container: f.container}
	if r.first {
		options = f.forPod()
	}
	options.Follow, options.Timestamps = true, true
	if !r.last.IsZero() {
		// The API counts in seconds; lines that are known are passed over below.
		options.TailLines, options.SinceSeconds = nil, nil
		options.SinceTime = &metav1.Time{Time: r.last}
	}
	stream, err := f.client.CoreV1().Pods(f.namespace).GetLogs(r.name, options).Stream(f.ctx)
	if err != nil {
		r.tries++
		return err
	}
	defer stream.Close()
	known := r.last
	return copyLines(stream, func(line []byte) error {
		at, text, ok := stamped(line)
		switch {
		case !ok:
			r.blind = r.blind || r.last.IsZero()
		case !at.After(known):
			return nil
		default:
			r.last = at
		}
		r.tries = 0
		f.mu.Lock()
		defer f.mu.Unlock()
		if err := writeLine(f.out, f.prefix(r.rank), text); err != nil {
			return fmt.Errorf("%w: %w", errOutput, err)
		}
		return nil
	})
}

// finish decides what comes after the end of a stream: the log is read on while its
// container writes.
func (f *logFollower) finish(r *reading) error {
	f.open--
	pod := f.pods[r.pod]
	current := pod != nil && attemptOf(pod, f.container) == r.n
	switch {
	case errors.Is(r.err, errOutput):
		return r.err
	case !current, r.err == nil && (r.blind || !writes(pod, f.container)):
	case r.blind, r.tries >= maxTries:
		if pod != nil {
			r.err = f.unreadable(f.ctx, pod, r.err)
		}
		f.note("[%d] the log of pod %s cannot be read: %v", r.rank, r.name, r.err)
	default:
		f.start(r, f.retry)
	}
	return nil
}
