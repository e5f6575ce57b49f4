package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"

	"lockstep.dev/lockstep/pkg/devcluster"
)

func needsControlPlane(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane")
	}
}

func TestStatusWithoutAClusterIsAClearNo(t *testing.T) {
	dir := t.TempDir()
	code, out, errOut := invoke("devcluster", "status", "--data-dir", dir)
	if code != exitNo || errOut != "" || out != "no devcluster runs in "+dir+"\n" {
		t.Errorf("exit code %d, output %q, error %q", code, out, errOut)
	}
	code, out, _ = invoke("devcluster", "status", "--data-dir", dir, "-o", "json")
	var state devcluster.State
	if err := json.Unmarshal([]byte(out), &state); code != exitNo || err != nil || state.Running || state.Processes == nil {
		t.Errorf("exit code %d, %v, state %+v of %q", code, err, state, out)
	}
	if code, out, _ := invoke("devcluster", "down", "--data-dir", dir); code != exitYes || !strings.Contains(out, "no devcluster runs") {
		t.Errorf("down of nothing: exit code %d, output %q", code, out)
	}
}

func TestStatusCountsFakeNodes(t *testing.T) {
	for want, state := range map[string]devcluster.State{
		"\n1 fake node\n":                       {Nodes: 1},
		"\n0 fake nodes and the process node\n": {ProcessNode: true},
		"\n16 fake nodes\n":                     {Nodes: 16},
	} {
		var out bytes.Buffer
		state.Running = true
		printStatus(newScreen(&out, time.Now), state)
		if !strings.Contains(out.String(), want) {
			t.Errorf("status does not say %q:\n%s", want, out.String())
		}
	}
}

// The life of a detached cluster, with the user's own kubeconfig.
func TestUpDetachedStatusDown(t *testing.T) {
	needsControlPlane(t)
	dir := filepath.Join(t.TempDir(), "cluster")
	kubeconfig := filepath.Join(t.TempDir(), "config")
	var out bytes.Buffer
	up := lockstep("devcluster", "up", "--detach", "--nodes", "3", "--gpus", "2", "--no-controller",
		"--data-dir", dir, "--kubeconfig", kubeconfig)
	up.Stdout, up.Stderr = &out, &out
	if err := up.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	down := func() (int, string) {
		code, out, errOut := invoke("devcluster", "down", "--data-dir", dir)
		return code, out + errOut
	}
	defer down()
	for _, want := range []string{"3 fake nodes of 2 GPUs", "export KUBECONFIG=" + kubeconfig, "lockstep devcluster down --data-dir " + dir} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output does not say %q:\n%s", want, out.String())
		}
	}
	if strings.ContainsRune(out.String(), '\x1b') {
		t.Errorf("control characters in a pipe: %q", out.String())
	}
	if config, err := clientcmd.LoadFromFile(kubeconfig); err != nil || config.CurrentContext == "" {
		t.Errorf("kubeconfig %v, %v", config, err)
	}

	code, text, _ := invoke("devcluster", "status", "--data-dir", dir)
	if code != exitYes || !strings.Contains(text, "ready since") || !strings.Contains(text, "kube-apiserver") {
		t.Errorf("status: exit code %d, output %q", code, text)
	}
	code, text, _ = invoke("devcluster", "status", "--data-dir", dir, "-o", "json")
	var state devcluster.State
	if err := json.Unmarshal([]byte(text), &state); code != exitYes || err != nil || !state.Ready || state.Nodes != 3 {
		t.Errorf("status: exit code %d, %v, %+v", code, err, state)
	}
	if group, err := syscall.Getpgid(state.Supervisor); err != nil || group == syscall.Getpgrp() {
		t.Errorf("the supervisor is in group %d, %v; it would end with the terminal", group, err)
	}

	schedulerComesBack(t, dir)

	var refused bytes.Buffer
	again := lockstep("devcluster", "up", "--detach", "--data-dir", dir)
	again.Stderr = &refused
	if err := again.Run(); err == nil || !strings.Contains(refused.String(), "runs in "+dir+" already") {
		t.Errorf("a second one in the directory: %v, %q", err, refused.String())
	}

	if code, text := down(); code != exitYes || !strings.Contains(text, "stopped") {
		t.Errorf("down: exit code %d, %q", code, text)
	}
	if code, _, _ := invoke("devcluster", "status", "--data-dir", dir); code != exitNo {
		t.Errorf("status after down: exit code %d", code)
	}
	if _, err := os.Stat(kubeconfig); !os.IsNotExist(err) {
		t.Errorf("the kubeconfig still names the cluster: %v", err)
	}
}

// schedulerComesBack kills the scheduler, as a crash does.
func schedulerComesBack(t *testing.T, dir string) {
	t.Helper()
	scheduler := func() (int, error) {
		state, err := devcluster.Status(dir)
		for _, p := range state.Processes {
			if p.Name == "lockstep-scheduler" && p.Running {
				return p.PID, err
			}
		}
		return 0, err
	}
	first, err := scheduler()
	if err != nil || first == 0 {
		t.Fatalf("no scheduler runs: %v", err)
	}
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err = wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 2*time.Minute, true, func(context.Context) (bool, error) {
		pid, err := scheduler()
		return pid != 0 && pid != first, err
	})
	if err != nil {
		t.Errorf("the scheduler does not come back: %v", err)
	}
}

func TestDetachedStartThatFailsSaysWhy(t *testing.T) {
	needsControlPlane(t)
	dir := filepath.Join(t.TempDir(), "cluster")
	var errOut bytes.Buffer
	up := lockstep("devcluster", "up", "--detach", "--data-dir", dir, "--feature-gates", "NoSuchGate=true")
	up.Stderr = &errOut
	if err := up.Run(); err == nil || !strings.Contains(errOut.String(), "NoSuchGate") {
		t.Errorf("%v, %q; want an error that names the gate", err, errOut.String())
	}
	if code, _, _ := invoke("devcluster", "status", "--data-dir", dir); code != exitNo {
		t.Errorf("status after a failed start: exit code %d", code)
	}
}

func TestCtrlCStopsAClusterInTheForeground(t *testing.T) {
	needsControlPlane(t)
	dir := t.TempDir()
	up := lockstep("devcluster", "up", "--nodes", "1", "--no-scheduler", "--no-controller", "--data-dir", dir)
	out, err := up.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	up.Stderr = os.Stderr
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = up.Process.Kill() }()
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "so does Ctrl-C") {
			if err := up.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := up.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v; it said:\n%s", err, said.String())
	}
	for _, want := range []string{"1 fake node (", "1 fake node of 8 GPUs"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, said.String())
		}
	}
	if code, _, _ := invoke("devcluster", "status", "--data-dir", dir); code != exitNo {
		t.Errorf("status after Ctrl-C: exit code %d", code)
	}
}
