package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// torchPackages are what the sample needs, by their names in Debian and Ubuntu.
var torchPackages = []string{"python3-torch", "python3-sklearn"}

// ensureTorch makes torch available to the process node where that can be done
// without asking, and says in one line what the sample will run on. It never
// fails: train.py does the same rendezvous over sockets without torch.
func ensureTorch(ctx context.Context, s *screen, install bool) {
	if hasTorch(ctx) {
		s.say("torch is installed: the sample trains for real")
		return
	}
	if install && os.Geteuid() == 0 && onPath("apt-get") {
		s.say("torch is missing: installing %s (a few minutes)", strings.Join(torchPackages, " and "))
		if err := installTorch(ctx); err != nil {
			s.say("%s; the sample runs without torch: the same rendezvous over sockets", err)
			return
		}
		if hasTorch(ctx) {
			s.say("torch is installed: the sample trains for real")
			return
		}
	}
	s.say("there is no torch on this machine: the sample does the same rendezvous over sockets")
}

// torchQuestion looks for torch without loading it, which would take seconds.
const torchQuestion = `import importlib.util as u, sys; sys.exit(not (u.find_spec("torch") and u.find_spec("sklearn")))`

// hasTorch asks the interpreters that the process node would choose from.
func hasTorch(ctx context.Context) bool {
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		cmd := exec.CommandContext(ctx, python, "-c", torchQuestion)
		cmd.Dir = "/"
		if cmd.Run() == nil {
			return true
		}
	}
	return false
}

func installTorch(ctx context.Context) error {
	for _, args := range [][]string{
		{"-qq", "update"},
		append([]string{"-qq", "install", "-y", "--no-install-recommends"}, torchPackages...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		var problems bytes.Buffer
		cmd.Stderr = &problems
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %s", args[1], lastLine(problems.String(), err))
		}
	}
	return nil
}

// lastLine is the end of what a program has complained about, or its exit status.
func lastLine(text string, err error) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return err.Error()
}

func onPath(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}
