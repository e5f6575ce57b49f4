package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// keeper is the process between the caller and the containers.
type keeper struct {
	config   config
	networks *networks

	writing sync.Mutex
	out     *json.Encoder

	mu     sync.Mutex
	inits  map[string]*exec.Cmd
	ending bool
}

// keeperMain serves the caller until the socket closes.
func keeperMain() int {
	// A Ctrl-C on the terminal is for the caller, which ends this process by closing the socket.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	control := os.NewFile(3, "control")
	conn, err := net.FileConn(control)
	if err != nil {
		fmt.Fprintln(os.Stderr, keeperName+": control socket:", err)
		return 1
	}
	// The copy in conn closes on exec; this one would keep the socket alive in the inits.
	control.Close()
	k := &keeper{out: json.NewEncoder(conn), inits: map[string]*exec.Cmd{}}
	in := json.NewDecoder(conn)
	for {
		var r request
		if err := in.Decode(&r); err != nil {
			k.killAll()
			return 0
		}
		if r.Op == opConfigure {
			k.answer(r, k.configure(*r.Config))
			continue
		}
		go func() { k.answer(r, k.do(r)) }()
	}
}

func (k *keeper) configure(c config) error {
	k.config = c
	if !c.Mode.Isolated() {
		// Orphans of a container come to this process, which ends them.
		return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	// The machine's /proc shows other process numbers than this PID namespace has.
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	var err error
	k.networks, err = newNetworks(c.Gateway)
	return err
}

func (k *keeper) do(r request) error {
	switch r.Op {
	case opAddNetwork:
		if k.networks == nil {
			return nil
		}
		return k.networks.add(r.ID, r.Address)
	case opRemoveNetwork:
		if k.networks == nil {
			return nil
		}
		return k.networks.remove(r.ID)
	case opRun:
		return k.run(*r.Spec)
	case opSignal:
		return k.signal(r.ID, syscall.Signal(r.Signal))
	case opProbe:
		return probe(*r.Probe)
	case opConfigure: // comes once, before these
	}
	return fmt.Errorf("unknown operation %q", r.Op)
}

func (k *keeper) answer(r request, err error) {
	a := reply{Seq: r.Seq}
	if err != nil {
		a.Error = err.Error()
	}
	k.send(a)
}

func (k *keeper) send(r reply) {
	k.writing.Lock()
	defer k.writing.Unlock()
	// A failed write means that the caller has gone; the reading side ends this process then.
	_ = k.out.Encode(r)
}

// run starts an init and returns once its command runs.
func (k *keeper) run(spec Spec) error {
	log, err := os.OpenFile(spec.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer log.Close()
	task, giveTask, err := os.Pipe()
	if err != nil {
		return err
	}
	defer task.Close()
	defer giveTask.Close()
	hearVerdict, verdict, err := os.Pipe()
	if err != nil {
		return err
	}
	defer hearVerdict.Close()
	defer verdict.Close()

	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{initName}, Env: []string{},
		Stdin: task, Stderr: os.Stderr, ExtraFiles: []*os.File{log, verdict},
		SysProcAttr: initAttributes(k.config.Mode),
	}
	start := cmd.Start
	if k.networks != nil {
		start = func() error { return k.networks.within(spec.Network, cmd.Start) }
	}
	if err := k.startInit(spec.ID, cmd, start); err != nil {
		return fmt.Errorf("start the container's init: %w", err)
	}
	verdict.Close()
	task.Close()
	var heard initVerdict
	if err := json.NewEncoder(giveTask).Encode(initTask{spec, k.config}); err == nil {
		giveTask.Close()
		err = json.NewDecoder(hearVerdict).Decode(&heard)
		if err != nil {
			heard.Error = "the container's init ended before its command ran"
		}
	} else {
		heard.Error = fmt.Sprintf("the container's init takes no task: %v", err)
	}
	if heard.Error != "" {
		k.await(spec.ID, cmd)
		return errors.New(heard.Error)
	}
	go func() {
		exit := k.await(spec.ID, cmd)
		k.send(reply{ID: spec.ID, Exit: &exit})
	}()
	return nil
}

// startInit starts an init and notes it in one step, so that killOrphans never meets one that it does not know.
func (k *keeper) startInit(id string, cmd *exec.Cmd, start func() error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ending {
		return errors.New("the keeper is ending")
	}
	if err := start(); err != nil {
		return err
	}
	k.inits[id] = cmd
	return nil
}

func (k *keeper) await(id string, cmd *exec.Cmd) Exit {
	_ = cmd.Wait() // the state that it leaves says more
	k.mu.Lock()
	delete(k.inits, id)
	k.mu.Unlock()
	if !k.config.Mode.Isolated() {
		k.killOrphans()
	}
	exit := Exit{At: time.Now(), Code: cmd.ProcessState.ExitCode()}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		exit.Code = 128 + int(status.Signal())
	}
	return exit
}

func (k *keeper) signal(id string, s syscall.Signal) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	cmd := k.inits[id]
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// killAll ends the containers. With a PID namespace the kernel ends what is left when this process exits.
func (k *keeper) killAll() {
	k.mu.Lock()
	k.ending = true
	for _, cmd := range k.inits {
		_ = cmd.Process.Kill() // an error means that it has ended
	}
	k.mu.Unlock()
	if k.config.Mode.Isolated() {
		return
	}
	// An init's death ends its command, whose own children only then come here.
	for len(children()) > 0 {
		k.killOrphans()
		time.Sleep(5 * time.Millisecond)
	}
}

// killOrphans ends the processes that an init which was killed has left to this one, and their children in turn.
func (k *keeper) killOrphans() {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := map[int]bool{}
	for _, cmd := range k.inits {
		known[cmd.Process.Pid] = true
	}
	for found := true; found; {
		found = false
		for _, pid := range children() {
			if !known[pid] {
				found = true
				_ = unix.Kill(pid, unix.SIGKILL) // errors mean that it has ended
				_, _ = unix.Wait4(pid, nil, 0, nil)
			}
		}
	}
}

func probe(p Probe) error {
	if p.URL == "" {
		conn, err := net.DialTimeout("tcp", p.Address, p.Timeout)
		if err == nil {
			conn.Close()
		}
		return err
	}
	client := http.Client{
		Timeout:       p.Timeout,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err := http.NewRequest(http.MethodGet, p.URL, nil)
	if err != nil {
		return err
	}
	r.Host = p.Host
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode >= 400 {
		return fmt.Errorf("%s answered %s", p.URL, answer.Status)
	}
	return nil
}
