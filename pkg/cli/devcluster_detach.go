package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"lockstep.dev/lockstep/pkg/devcluster"
)

// supervisorLog is what the supervisor in the background has to say. It lies
// beside the logs and not among them, because a start empties those.
const supervisorLog = "supervisor.log"

// detachedEnv tells the supervisor that it has no terminal: who started it says
// that the cluster is ready, and how it is stopped.
const detachedEnv = "LOCKSTEP_DEVCLUSTER_DETACHED"

// upDetached runs this program again, in a session of its own, and returns when
// the cluster is ready, and says so itself: what the other says is shown until
// then, and when it becomes ready its next line may not be written yet.
func upDetached(ctx context.Context, s *screen, o upOptions) error {
	if err := os.MkdirAll(o.cluster.DataDir, 0o700); err != nil {
		return err
	}
	if state, err := devcluster.Status(o.cluster.DataDir); err != nil {
		return err
	} else if state.Running {
		return fmt.Errorf("a cluster runs in %s already; lockstep devcluster down%s stops it",
			state.DataDir, dataDirHint(o.cluster.DataDir))
	}
	logPath := filepath.Join(o.cluster.DataDir, supervisorLog)
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer log.Close()
	supervisor, err := startSupervisor(log)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = supervisor.Wait() // its log says why it ended
		close(ended)
	}()
	shown, err := os.Open(logPath)
	if err != nil {
		return err
	}
	defer shown.Close()
	return followSupervisor(ctx, s, o, supervisor.Process, ended, shown)
}

// startSupervisor starts the same command line without --detach.
func startSupervisor(log *os.File) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(arg string) bool {
		return arg == "--detach" || strings.HasPrefix(arg, "--detach=")
	})
	supervisor := exec.Command(program, args...)
	supervisor.Env = append(os.Environ(), detachedEnv+"=1")
	supervisor.Stdout, supervisor.Stderr = log, log
	supervisor.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a hang-up of this terminal is not for it
	if err := supervisor.Start(); err != nil {
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	return supervisor, nil
}

// followSupervisor shows what the supervisor says until its cluster is ready. An
// end of the context takes the supervisor along.
func followSupervisor(ctx context.Context, s *screen, o upOptions, supervisor *os.Process, ended <-chan struct{}, log io.Reader) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	var said strings.Builder // all of it: the reason may have come a tick before the end
	for {
		over := false
		select {
		case <-ctx.Done():
			_ = supervisor.Signal(syscall.SIGTERM)
			<-ended
			return context.Cause(ctx)
		case <-ended:
			over = true
		case <-ticker.C:
		}
		state, err := devcluster.Status(o.cluster.DataDir)
		text, _ := io.ReadAll(log)
		said.Write(text)
		if over {
			return errors.New("the supervisor ended: " + strings.TrimSpace(said.String()))
		}
		if len(text) > 0 {
			s.plain(strings.TrimRight(string(text), "\n"))
		}
		if err != nil {
			return err
		}
		if state.Ready && state.Supervisor == supervisor.Pid {
			sayReady(s, o, state.Kubeconfig, "")
			return nil
		}
	}
}
