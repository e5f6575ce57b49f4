package devcluster

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// stopGrace is how long a process may take to end after SIGTERM, as on a node.
	stopGrace = 30 * time.Second
	// tailLines is how much of a log an error shows.
	tailLines = 8
)

// command is a process to be started.
type command struct {
	name string // for messages
	path string
	args []string
	env  []string // added to this process's environment
	log  string   // file for stdout and stderr; appended to
	dir  string   // working directory
	// dieWithPipe: the program watches the death pipe.
	dieWithPipe bool
	grace       time.Duration // zero: stopGrace
}

// Process is a running (or ended) sub-process of a cluster. Its methods may be
// called from any goroutine, and again after the end.
type Process struct {
	name     string
	logPath  string
	logStart int64 // size of the log before this process
	grace    time.Duration
	cmd      *exec.Cmd
	done     chan struct{}
	err      error       // set before done is closed
	expected atomic.Bool // somebody here asked it to end
	readyURL string      // of one of Lockstep's own programs
}

// ReadyURL is where one of Lockstep's own programs says that it is ready; of the
// scheduler, /metrics is beside it.
func (p *Process) ReadyURL() string { return p.readyURL }

func (s *spawner) run(c command) (*Process, error) {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", c.name, err)
	}
	defer log.Close()
	logStart, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", c.name, err)
	}
	cmd := exec.Command(c.path, c.args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), c.env...)
	cmd.Dir = c.dir
	if err := s.start(cmd, c.dieWithPipe); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	p := &Process{name: c.name, logPath: c.log, logStart: logStart, grace: cmp.Or(c.grace, stopGrace), cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Name is the program's name, such as kube-apiserver.
func (p *Process) Name() string { return p.name }

// Pid is the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// LogPath is the file with what the process has written.
func (p *Process) LogPath() string { return p.logPath }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running says whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait returns when the process has ended: nil for exit code 0, else what
// exec.Cmd.Wait said.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Signal sends a signal, such as SIGSTOP to imitate a stall.
func (p *Process) Signal(signal syscall.Signal) error { return p.cmd.Process.Signal(signal) }

// Kill ends the process at once (SIGKILL) and waits for that.
func (p *Process) Kill() {
	p.expected.Store(true)
	_ = p.cmd.Process.Kill() // an error means that it has ended already
	<-p.done
}

// Stop asks the process to end (SIGTERM) and waits; one that does not within
// thirty seconds is killed, which the error says.
func (p *Process) Stop() error {
	p.expected.Store(true)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(p.grace):
		p.Kill()
		return fmt.Errorf("%s did not end within %v of SIGTERM and was killed; log: %s", p.name, p.grace, p.logPath)
	}
}

// Failure describes an end that nobody asked for, with the end of the log. The
// process must have ended.
func (p *Process) Failure() error {
	reason := "exit status 0"
	if p.err != nil {
		reason = p.err.Error()
	}
	return fmt.Errorf("%s ended (%s); the end of %s:\n%s", p.name, reason, p.logPath, logTail(p.logPath, p.logStart, tailLines))
}

// portWasTaken says whether the process has written that it lost the race for
// its port.
func (p *Process) portWasTaken() bool {
	file, err := os.Open(p.logPath)
	if err != nil {
		return false
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, p.logStart, 1<<20))
	return err == nil && bytes.Contains(text, []byte("address already in use"))
}

// logTail returns the last lines of a file from a place on, each indented: of a Go program that has
// crashed those before the stacks of its goroutines, which hide the cause.
func logTail(path string, from int64, lines int) string {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return "  (" + err.Error() + ")"
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "  (" + err.Error() + ")"
	}
	const enough = 16 << 10
	from = max(from, info.Size()-enough)
	text, err := io.ReadAll(io.NewSectionReader(file, from, enough))
	if err != nil {
		return "  (" + err.Error() + ")"
	}
	all := bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n"))
	for i, line := range all {
		if bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: ")) {
			all = all[:i+1]
			break
		}
	}
	all = all[max(0, len(all)-lines):]
	return "  " + string(bytes.Join(all, []byte("\n  ")))
}
