package processnode

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/virtual-kubelet/virtual-kubelet/node/api"
	v1 "k8s.io/api/core/v1"
)

func TestReadLog(t *testing.T) {
	const log = `2026-01-02T03:04:05Z stdout F one
2026-01-02T03:04:06Z stderr P tw
2026-01-02T03:04:06Z stderr F o
2026-01-02T03:04:07Z stdout F three
2026-01-02T03:04:08Z stdout P no end
`
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	since := time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)
	for name, c := range map[string]struct {
		options api.ContainerLogOpts
		none    bool
		want    string
	}{
		"all":                        {want: "one\ntwo\nthree\nno end"},
		"a long line counts as one":  {options: api.ContainerLogOpts{Tail: 3}, want: "two\nthree\nno end"},
		"more lines than there are":  {options: api.ContainerLogOpts{Tail: 99}, want: "one\ntwo\nthree\nno end"},
		"none":                       {none: true},
		"since":                      {options: api.ContainerLogOpts{SinceTime: since}, want: "two\nthree\nno end"},
		"bytes":                      {options: api.ContainerLogOpts{LimitBytes: 6}, want: "one\ntw"},
		"a long line has one time":   {options: api.ContainerLogOpts{Tail: 3, Timestamps: true, LimitBytes: 24}, want: "2026-01-02T03:04:06Z two"},
		"followed beyond its end":    {options: api.ContainerLogOpts{Follow: true, Tail: 1}, want: "no end"},
		"followed, and nothing more": {options: api.ContainerLogOpts{Follow: true}, none: true},
	} {
		ended := make(chan struct{})
		close(ended)
		stream, err := readLog(t.Context(), path, c.options, c.none, ended)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(stream)
		if err != nil || string(text) != c.want {
			t.Errorf("%s: %q (%v), want %q", name, text, err, c.want)
		}
	}
}

// A container may have written before it is said to run: that it has ended is known by
// its end alone.
func TestAttemptOver(t *testing.T) {
	ended := func(attempt string) v1.ContainerState {
		return v1.ContainerState{Terminated: &v1.ContainerStateTerminated{ContainerID: "process://uid/main/" + attempt}}
	}
	waiting := v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	running := v1.ContainerState{Running: &v1.ContainerStateRunning{}}
	for _, c := range []struct {
		name  string
		facts containerFacts
		want  bool
	}{
		{"it is being started", containerFacts{}, false},
		{"it runs", containerFacts{state: running}, false},
		{"it has ended", containerFacts{state: ended("0")}, true},
		{"it waits to be started again", containerFacts{state: waiting, last: ended("0")}, true},
		{"the next one is being started", containerFacts{state: waiting, last: ended("0"), restarts: 1}, true},
		{"the next one is being started at once", containerFacts{state: ended("0"), last: ended("0"), restarts: 1}, true},
	} {
		if got := c.facts.over(0); got != c.want {
			t.Errorf("%s: over is %t", c.name, got)
		}
		if c.facts.restarts == 1 && c.facts.over(1) {
			t.Errorf("%s: it is over before it has begun", c.name)
		}
	}
}
