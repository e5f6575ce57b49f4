package devcluster

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// deathPipeEnv tells lockstep-devcluster which descriptor is the death pipe.
const deathPipeEnv = "LOCKSTEP_DEATH_PIPE_FD"

// spawner starts processes that end when this process ends. Two means are
// needed, because neither works for all programs:
//
//   - The parent-death signal of the kernel. It follows the *thread* that
//     forked, not the process, so one goroutine that owns its thread for the
//     spawner's life does all the starting.
//   - A pipe whose write end only this process has. Programs that watch the
//     read end see its end; it also covers the moment between fork and the
//     request for the signal.
type spawner struct {
	requests         chan func()
	stopped          chan struct{}
	pipeRead, pipeUp *os.File
}

func newSpawner() (*spawner, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("death pipe: %w", err)
	}
	s := &spawner{requests: make(chan func()), stopped: make(chan struct{}), pipeRead: read, pipeUp: write}
	go s.loop()
	return s, nil
}

func (s *spawner) loop() {
	runtime.LockOSThread() // never unlocked: the thread ends with the spawner
	defer close(s.stopped)
	for request := range s.requests {
		request()
	}
}

// start starts cmd in a process group of its own, so that a Ctrl-C at the
// terminal reaches the supervisor alone, which then stops the rest in order.
func (s *spawner) start(cmd *exec.Cmd, withPipe bool) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if withPipe {
		cmd.ExtraFiles = []*os.File{s.pipeRead}
		cmd.Env = append(cmd.Env, deathPipeEnv+"=3")
	}
	done := make(chan error, 1)
	s.requests <- func() { done <- cmd.Start() }
	return <-done
}

// close ends what is still running and gives the thread back. No start may
// follow.
func (s *spawner) close() {
	close(s.requests)
	<-s.stopped
	_ = s.pipeUp.Close()
	_ = s.pipeRead.Close()
}
