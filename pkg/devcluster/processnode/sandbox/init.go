package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// initMain is the life of one container: set up, run the command, wait for it, end what it left behind.
// It returns the command's exit code.
func initMain() int {
	// Rights belong to threads: the one that drops them must be the one that starts the command.
	runtime.LockOSThread()
	log, verdict := os.NewFile(3, "log"), os.NewFile(4, "verdict")
	syscall.CloseOnExec(3)
	syscall.CloseOnExec(4)
	var task initTask
	if err := json.NewDecoder(os.Stdin).Decode(&task); err != nil {
		return fail(verdict, fmt.Errorf("read the task: %w", err))
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)

	if task.Config.Mode.Isolated() {
		if err := enterRoot(task.Spec); err != nil {
			return fail(verdict, err)
		}
	} else if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		// What the command leaves behind must come here, as it does to the first process of a PID namespace.
		return fail(verdict, fmt.Errorf("become the parent of orphans: %w", err))
	}
	if len(task.Spec.Argv) == 0 { // a trial run
		_ = json.NewEncoder(verdict).Encode(initVerdict{}) // a keeper that is gone wants no answer
		return 0
	}
	output := newLogger(log)
	pid, err := startCommand(task, output)
	if err != nil {
		return fail(verdict, err)
	}
	_ = json.NewEncoder(verdict).Encode(initVerdict{})
	verdict.Close()

	go func() {
		for s := range signals {
			_ = syscall.Kill(pid, s.(syscall.Signal)) // the command alone, as with containers
		}
	}()
	code := reap(pid)
	endChildren()
	output.drain()
	return code
}

// endChildren kills what the command has left behind, and what that leaves behind, until nothing does.
func endChildren() {
	for {
		for _, pid := range children() {
			_ = unix.Kill(pid, unix.SIGKILL) // an error means that it has ended
		}
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// fail tells the keeper why the command cannot run. 128 is what container runtimes use for it.
func fail(verdict *os.File, err error) int {
	_ = json.NewEncoder(verdict).Encode(initVerdict{Error: err.Error()})
	return 128
}

// startCommand starts the command in its own process group, without rights.
func startCommand(task initTask, output *logger) (int, error) {
	spec := task.Spec
	dir := spec.Dir
	if dir == "" {
		dir = "/"
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return 0, fmt.Errorf("working directory %q: no such directory", dir)
	}
	path, err := lookPath(spec.Argv[0], dir, spec.Env)
	if err != nil {
		return 0, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	stdout, err := output.stream("stdout")
	if err != nil {
		return 0, err
	}
	defer stdout.Close()
	stderr, err := output.stream("stderr")
	if err != nil {
		return 0, err
	}
	defer stderr.Close()
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if task.Config.UID != 0 {
		attr.Credential = &syscall.Credential{Uid: uint32(task.Config.UID), Gid: uint32(task.Config.GID)}
	}
	if err := dropRights(task.Config.Mode); err != nil {
		return 0, err
	}
	pid, err := syscall.ForkExec(path, spec.Argv, &syscall.ProcAttr{
		Dir: dir, Env: spec.Env, Sys: attr,
		Files: []uintptr{null.Fd(), stdout.Fd(), stderr.Fd()},
	})
	if err != nil {
		return 0, fmt.Errorf("exec %q: %w", path, err)
	}
	return pid, nil
}

// reap waits for children until the command ends, and returns its exit code.
func reap(command int) int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 128
		case pid == command && status.Signaled():
			return 128 + int(status.Signal())
		case pid == command && status.Exited():
			return status.ExitStatus()
		}
	}
}

// lookPath finds a command as execvp would, in the container's PATH.
func lookPath(name, dir string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, executable(name)
	}
	for _, entry := range filepath.SplitList(valueOf(env, "PATH")) {
		path := filepath.Join(entry, name)
		if executable(path) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", name)
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("exec: %q: no such file or directory", path)
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("exec: %q: permission denied", path)
	}
	return nil
}

// valueOf is the effective value: the last entry of a name.
func valueOf(env []string, name string) string {
	value := ""
	for _, entry := range env {
		if rest, ok := strings.CutPrefix(entry, name+"="); ok {
			value = rest
		}
	}
	return value
}
