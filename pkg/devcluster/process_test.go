package devcluster

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func testCluster(t *testing.T) *Cluster {
	t.Helper()
	s, err := newSpawner()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return &Cluster{spawner: s}
}

func TestServerIsStartedAgainOnAnotherPortWhenItsPortWasTaken(t *testing.T) {
	c := testCluster(t)
	dir := t.TempDir()
	tried := map[int]bool{}
	p, chosen, err := c.startServer(t.Context(), ports{free: 1}, func(ports []int) command {
		tried[ports[0]] = true
		return command{name: "server", path: os.Args[0], log: filepath.Join(dir, "log"), env: []string{
			roleEnv + "=server", "DEVCLUSTER_TEST_MARK=" + filepath.Join(dir, "mark"),
			fmt.Sprintf("DEVCLUSTER_TEST_ADDRESS=%s:%d", loopback, ports[0]),
		}}
	}, func(ports []int) func(context.Context) error {
		return answers(http.DefaultClient, fmt.Sprintf("http://%s:%d/", loopback, ports[0]))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if len(tried) < 2 || !tried[chosen[0]] {
		t.Errorf("tried ports %v and got %v; want a second try", tried, chosen)
	}
}

func TestFailedServerShowsTheEndOfItsLog(t *testing.T) {
	c := testCluster(t)
	_, _, err := c.startServer(t.Context(), ports{free: 1}, func([]int) command {
		return command{name: "broken", path: "/bin/sh", args: []string{"-c", "echo the disk is on fire; exit 3"}, log: filepath.Join(t.TempDir(), "log")}
	}, func([]int) func(context.Context) error {
		return func(context.Context) error { return fmt.Errorf("no answer") }
	})
	if err == nil {
		t.Fatal("a program that ends was taken for ready")
	}
	for _, want := range []string{"broken", "exit status 3", "the disk is on fire"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}

func TestOneLogOfManyStartsBlamesTheRightOne(t *testing.T) {
	c := testCluster(t)
	log := filepath.Join(t.TempDir(), "log")
	run := func(script string) *Process {
		p, err := c.spawner.run(command{name: "sh", path: "/bin/sh", args: []string{"-c", script}, log: log})
		if err != nil {
			t.Fatal(err)
		}
		_ = p.Wait()
		return p
	}
	if p := run("echo bind: address already in use; exit 1"); !p.portWasTaken() {
		t.Error("a lost race for a port is not seen")
	}
	if p := run("exit 1"); p.portWasTaken() {
		t.Error("the race that an earlier process has lost is held against a later one")
	}
}

func TestStopKillsWhatIgnoresSIGTERM(t *testing.T) {
	c := testCluster(t)
	log := filepath.Join(t.TempDir(), "log")
	p, err := c.spawner.run(command{name: "stubborn", path: "/bin/sh", log: log, grace: 10 * time.Millisecond,
		args: []string{"-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"}})
	if err != nil {
		t.Fatal(err)
	}
	err = await(t.Context(), p, "sh", func(context.Context) error { // until it is deaf
		if text, err := os.ReadFile(log); err != nil || len(text) == 0 {
			return fmt.Errorf("not yet: %w", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "stubborn") || p.Running() {
		t.Errorf("after Stop: running %v, error %v; want an error that names the program", p.Running(), err)
	}
}

func TestLogTailOfACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	before := "panic: before\n"
	text := before + "one\ntwo\nno space left on device\npanic: failed to create\n\ngoroutine 1 [running]:\nmain.main()\n\tmain.go:1\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := logTail(path, int64(len(before)), 2), "  no space left on device\n  panic: failed to create"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
