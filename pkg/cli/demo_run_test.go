package cli

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/devcluster"
)

// The demo as a stranger runs it, in a pipe: the sample job ends well, one of two
// rival gangs waits with a reason and then runs, and nothing is left of it.
func TestDemoFromNothingToNothing(t *testing.T) {
	temp := t.TempDir()
	out, code := demoRun(t, temp, nil)
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	for _, pattern := range []string{
		`gang pytorch-job-example is whole: 3 of 3 pods bound`,
		`(?m)^ +master \| epoch 10/10 `,
		`job pytorch-job-example: Succeeded`,
		`gang-[ab] waits: 12 pods do not fit`,
		`gang-[ab] holds nothing: 0 of 12 pods bound`,
		`succeeded, loss \d`,
		`gang-[ab] +12 .* waited for gang-[ab], then ran`,
		`nothing is left running`,
	} {
		if !regexp.MustCompile(pattern).MatchString(out) {
			t.Errorf("the output does not say %q:\n%s", pattern, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("there are escape sequences in a pipe")
	}
	nothingLeft(t, temp)
}

// Ctrl-C in the middle of it ends all of it as well.
func TestDemoInterrupted(t *testing.T) {
	temp := t.TempDir()
	out, code := demoRun(t, temp, func(output string) bool { return strings.Contains(output, "is whole") })
	if code != exitError || !strings.Contains(out, "the cluster is stopped") {
		t.Errorf("exit code %d, want %d and a word about it:\n%s", code, exitError, out)
	}
	nothingLeft(t, temp)
}

// demoRun runs the demo with a temporary directory of its own and interrupts it
// when the output so far is what interrupt waits for.
func demoRun(t *testing.T, temp string, interrupt func(output string) bool) (output string, code int) {
	t.Helper()
	if testing.Short() {
		t.Skip("the demo needs a control plane, and -short was given")
	}
	bin, err := devcluster.FindBinDir()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(bin, "lockstep")
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v; run make build", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "demo", "--install=false", "--timeout", "8m")
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd.Stdout, cmd.Stderr = write, write
	err = cmd.Start()
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := read.Read(buffer)
		text.Write(buffer[:n])
		if interrupt != nil && interrupt(text.String()) {
			interrupt = nil
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Error(err)
			}
		}
		if err != nil { // the last process that could write has ended
			break
		}
	}
	_ = cmd.Wait() // the exit code says it
	return text.String(), cmd.ProcessState.ExitCode()
}

// nothingLeft fails for a file or a process that the demo has left behind. Its
// processes all have the temporary directory on their command lines.
func nothingLeft(t *testing.T, temp string) {
	t.Helper()
	if entries, err := os.ReadDir(temp); err != nil || len(entries) > 0 {
		t.Errorf("left in the temporary directory: %v (%v)", entries, err)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if text, err := os.ReadFile(line); err == nil && strings.Contains(string(text), temp) {
			t.Errorf("still running: %s", strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
}
