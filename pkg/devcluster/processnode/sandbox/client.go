package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Options configure a Node.
type Options struct {
	// Dir is a directory for the short-lived files of the trial run.
	Dir string
	// Gateway is the bridge's address with its prefix, such as 10.231.0.1/16.
	Gateway string
	// Mode forces one mode; empty tries the best one that works.
	Mode Mode
	Log  *slog.Logger
}

// Node is the caller's handle on a keeper. Its methods may be called at once from several goroutines.
type Node struct {
	mode   Mode
	keeper *exec.Cmd
	conn   *net.UnixConn
	done   chan struct{}

	writing sync.Mutex
	mu      sync.Mutex
	seq     uint64
	replies map[uint64]chan reply
	exits   map[string]chan Exit
	broken  error
}

// ErrGone is returned when the keeper has ended.
var ErrGone = errors.New("the process node's keeper process has ended")

// Start starts a keeper in the best mode that passes a trial run of an empty container.
func Start(o Options) (*Node, error) {
	modes := candidates(os.Geteuid())
	if o.Mode != "" {
		modes = []Mode{o.Mode}
	}
	var failures []error
	for _, mode := range modes {
		n, err := startMode(mode, o)
		if err == nil {
			return n, nil
		}
		failures = append(failures, fmt.Errorf("isolation %s: %w", mode, err))
		if o.Log != nil {
			o.Log.Info("this kind of isolation does not work here", "isolation", mode, "error", err)
		}
	}
	return nil, fmt.Errorf("no way to run pods as processes on this machine: %w", errors.Join(failures...))
}

func startMode(mode Mode, o Options) (*Node, error) {
	n, err := launch(mode)
	if err != nil {
		return nil, err
	}
	c := config{Mode: mode, Gateway: o.Gateway}
	if mode == ModeRoot {
		c.UID, c.GID = nobody, nobody
	}
	if err = n.call(request{Op: opConfigure, Config: &c}); err == nil {
		err = n.trial(o.Dir)
	}
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

func launch(mode Mode) (*Node, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "caller"), os.NewFile(uintptr(pair[1]), "keeper")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	keeper := &exec.Cmd{
		Path:        "/proc/self/exe",
		Args:        []string{keeperName},
		Env:         []string{},
		Stderr:      os.Stderr,
		ExtraFiles:  []*os.File{theirs},
		SysProcAttr: keeperAttributes(mode),
	}
	if err := keeper.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("start the keeper: %w", err)
	}
	n := &Node{
		mode: mode, keeper: keeper, conn: conn.(*net.UnixConn), done: make(chan struct{}),
		replies: map[uint64]chan reply{}, exits: map[string]chan Exit{},
	}
	go n.receive()
	return n, nil
}

// trial runs a container that does nothing, and so goes through every step that can fail.
func (n *Node) trial(dir string) error {
	root, err := os.MkdirTemp(dir, "trial-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	if err := n.AddNetwork("trial", ""); err != nil {
		return err
	}
	exit, err := n.Run(Spec{ID: "trial", Network: "trial", Hostname: "trial", Root: root, Log: root + ".log"})
	defer os.Remove(root + ".log")
	if err != nil {
		return err
	}
	if e := <-exit; e.Code != 0 {
		return fmt.Errorf("trial run ended with code %d", e.Code)
	}
	return n.RemoveNetwork("trial")
}

// Mode is the isolation in use.
func (n *Node) Mode() Mode { return n.mode }

// CommandUser is the user and group, as numbers of this machine, whose files a container can write.
func (n *Node) CommandUser() (uid, gid int) {
	if n.mode == ModeRoot {
		return nobody, nobody
	}
	return os.Getuid(), os.Getgid()
}

// Done is closed when the keeper has ended; all containers have ended by then.
func (n *Node) Done() <-chan struct{} { return n.done }

// AddNetwork makes the network of a pod, with one address (without prefix) on the bridge.
func (n *Node) AddNetwork(key, address string) error {
	return n.call(request{Op: opAddNetwork, ID: key, Address: address})
}

// RemoveNetwork frees what AddNetwork made. Its containers must have ended.
func (n *Node) RemoveNetwork(key string) error {
	return n.call(request{Op: opRemoveNetwork, ID: key})
}

// Run starts a container. The error says why the command cannot run; otherwise the channel gives one Exit.
// If the keeper dies the channel gives code 137.
func (n *Node) Run(spec Spec) (<-chan Exit, error) {
	exit := make(chan Exit, 1)
	n.mu.Lock()
	n.exits[spec.ID] = exit
	n.mu.Unlock()
	if err := n.call(request{Op: opRun, Spec: &spec}); err != nil {
		n.mu.Lock()
		delete(n.exits, spec.ID)
		n.mu.Unlock()
		return nil, err
	}
	return exit, nil
}

// Signal sends a signal to a container; SIGKILL ends every process of it. No error if it has ended already.
func (n *Node) Signal(id string, signal syscall.Signal) error {
	return n.call(request{Op: opSignal, ID: id, Signal: int(signal)})
}

// Probe asks once; nil is a yes.
func (n *Node) Probe(p Probe) error {
	return n.call(request{Op: opProbe, Probe: &p})
}

// Close ends the keeper and with it every container.
func (n *Node) Close() error {
	n.conn.Close()
	<-n.done
	return nil
}

func (n *Node) call(r request) error {
	answer := make(chan reply, 1)
	n.mu.Lock()
	if n.broken != nil {
		n.mu.Unlock()
		return n.broken
	}
	n.seq++
	r.Seq = n.seq
	n.replies[r.Seq] = answer
	n.mu.Unlock()

	n.writing.Lock()
	err := json.NewEncoder(n.conn).Encode(r)
	n.writing.Unlock()
	if err != nil {
		return fmt.Errorf("%w (%s: %w)", ErrGone, r.Op, err)
	}
	select {
	case a := <-answer:
		if a.Error != "" {
			return errors.New(a.Error)
		}
		return nil
	case <-n.done:
		return ErrGone
	}
}

// receive hands out what the keeper says until it ends.
func (n *Node) receive() {
	in := json.NewDecoder(n.conn)
	for {
		var r reply
		if err := in.Decode(&r); err != nil {
			break
		}
		n.mu.Lock()
		if r.Exit != nil {
			if exit := n.exits[r.ID]; exit != nil {
				exit <- *r.Exit
				delete(n.exits, r.ID)
			}
		} else if answer := n.replies[r.Seq]; answer != nil {
			answer <- r
			delete(n.replies, r.Seq)
		}
		n.mu.Unlock()
	}
	n.conn.Close()
	_ = n.keeper.Wait() // how it ended changes nothing here
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broken = ErrGone
	for _, exit := range n.exits {
		exit <- Exit{Code: 128 + int(syscall.SIGKILL), At: time.Now()}
	}
	clear(n.exits)
	close(n.done)
}
