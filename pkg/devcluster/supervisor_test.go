package devcluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// startSupervisor starts this test binary as a program that runs a cluster, and
// returns when that is ready.
func startSupervisor(t *testing.T, dir string) (*exec.Cmd, State) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	supervisor := exec.Command(os.Args[0])
	supervisor.Env = append(os.Environ(), roleEnv+"=supervisor", "DEVCLUSTER_TEST_DIR="+dir)
	supervisor.Stderr = os.Stderr
	out, err := supervisor.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := supervisor.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = supervisor.Process.Kill() // if a test has failed before
		_ = supervisor.Wait()
	})
	var state State
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&state); err != nil {
		t.Fatalf("the supervisor did not get ready: %v", err)
	}
	return supervisor, state
}

func TestNothingOutlivesAKilledSupervisor(t *testing.T) {
	dir := t.TempDir()
	supervisor, state := startSupervisor(t, dir)
	if len(state.Processes) != 4 {
		t.Fatalf("sub-processes %+v, want etcd, apiserver, controller-manager and scheduler", state.Processes)
	}
	for _, p := range state.Processes {
		if !alivePID(p.PID) {
			t.Fatalf("%s does not run", p.Name)
		}
	}
	if err := supervisor.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = supervisor.Wait() // it holds the lock until it is gone; it was killed, so this is an error
	eventually(t, "all processes end", func(context.Context) error {
		for _, p := range state.Processes {
			if alivePID(p.PID) {
				return fmt.Errorf("%s (pid %d) still runs", p.Name, p.PID)
			}
		}
		return nil
	})
	if left, err := Status(dir); err != nil || left.Running {
		t.Errorf("status after the end: %+v, %v", left, err)
	}
	again, err := Start(t.Context(), Options{DataDir: dir})
	if err != nil {
		t.Fatalf("the directory of a killed cluster cannot be used again: %v", err)
	}
	if err := again.Stop(); err != nil {
		t.Error(err)
	}
}

func TestDownEndsTheClusterOfAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	supervisor, _ := startSupervisor(t, dir)
	state, err := Status(dir)
	if err != nil || !state.Running || !state.Ready || state.Supervisor != supervisor.Process.Pid || state.Nodes != 1 {
		t.Errorf("status %+v, %v", state, err)
	}
	for _, p := range state.Processes {
		if !p.Running || p.ResidentBytes == 0 {
			t.Errorf("status of %s: %+v", p.Name, p)
		}
	}
	if _, err := Start(t.Context(), Options{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "runs in this directory already") {
		t.Errorf("a second cluster in the directory: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- supervisor.Wait() }()
	ran, err := Down(t.Context(), dir)
	if !ran || err != nil {
		t.Fatalf("down: %v, %v", ran, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the supervisor ended with %v", err)
	}
	for _, p := range state.Processes {
		if alivePID(p.PID) {
			t.Errorf("%s (pid %d) still runs", p.Name, p.PID)
		}
	}
	for _, name := range []string{"etcd", "pki", "kubeconfig", "state.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is left behind", name)
		}
	}
}

// A failed start leaves nothing running, and says why.
func TestFailedStart(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	dir := t.TempDir()
	_, err := Start(t.Context(), Options{DataDir: dir, APIServerArgs: []string{"--no-such-flag"}})
	if err == nil {
		t.Fatal("the apiserver took a flag that does not exist")
	}
	for _, want := range []string{"kube-apiserver", "unknown flag: --no-such-flag"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if state, err := Status(dir); err != nil || state.Running {
		t.Errorf("status after a failed start: %+v, %v", state, err)
	}
}

// alivePID says whether a process runs; a zombie does not.
func alivePID(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z")
}
