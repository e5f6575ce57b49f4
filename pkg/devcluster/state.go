package devcluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// downGrace is how long Down waits for a supervisor that was asked to end, which stops four kinds of
// processes one after another.
const downGrace = 5 * stopGrace

// State is what a data directory says about its cluster.
type State struct {
	// Running: a supervisor lives. The other fields are empty without one.
	Running bool `json:"running"`
	// Ready: the start is complete.
	Ready bool `json:"ready"`
	// DataDir is the directory that was asked about.
	DataDir string `json:"data_dir"`
	// Supervisor is the number of the process that the others end with.
	Supervisor int       `json:"supervisor_pid,omitempty"`
	Started    time.Time `json:"started,omitzero"`
	// StartSeconds is how long the start took.
	StartSeconds float64 `json:"start_seconds,omitempty"`
	Server       string  `json:"server,omitempty"`
	Kubeconfig   string  `json:"kubeconfig,omitempty"`
	Nodes        int     `json:"fake_nodes"`
	ProcessNode  bool    `json:"process_node"`
	// Processes are the sub-processes, in the order of their start.
	Processes []ProcessState `json:"processes"`
}

// ProcessState is one sub-process.
type ProcessState struct {
	Name    string `json:"name"`
	PID     int    `json:"pid"`
	Running bool   `json:"running"`
	// ResidentBytes is its resident memory now.
	ResidentBytes int64  `json:"resident_bytes,omitempty"`
	Log           string `json:"log"`
}

// Status says what runs in a data directory. That nothing does is no error.
func Status(dataDir string) (State, error) {
	dataDir, err := filepath.Abs(dataDir)
	if err != nil {
		return State{}, err
	}
	nothing := State{DataDir: dataDir, Processes: []ProcessState{}}
	running, err := isLocked(dataDir)
	if err != nil || !running {
		return nothing, err
	}
	text, err := os.ReadFile(statePath(dataDir))
	if errors.Is(err, fs.ErrNotExist) { // the moment between the lock and the first state
		nothing.Running = true
		return nothing, nil
	}
	if err != nil {
		return nothing, err
	}
	var state State
	if err := json.Unmarshal(text, &state); err != nil {
		return nothing, fmt.Errorf("%s: %w", statePath(dataDir), err)
	}
	for i := range state.Processes {
		p := &state.Processes[i]
		p.ResidentBytes, p.Running = resident(p.PID)
	}
	return state, nil
}

// Down ends the cluster of a data directory and waits for its end. That none
// runs is no error: it returns false.
func Down(ctx context.Context, dataDir string) (bool, error) {
	state, err := Status(dataDir)
	if err != nil || !state.Running {
		return false, err
	}
	if state.Supervisor == 0 {
		return true, fmt.Errorf("the cluster in %s is just starting; try again", state.DataDir)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, downGrace, fmt.Errorf("not within %v", downGrace))
	defer cancel()
	if err := syscall.Kill(state.Supervisor, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return true, fmt.Errorf("ask the supervisor (pid %d) to end: %w", state.Supervisor, err)
	}
	err = await(ctx, nil, "the supervisor does not end", func(context.Context) error {
		running, err := isLocked(state.DataDir)
		if err == nil && running {
			err = fmt.Errorf("pid %d still runs", state.Supervisor)
		}
		return err
	})
	return true, err
}

func statePath(dataDir string) string { return filepath.Join(dataDir, "state.json") }

// writeState makes the cluster known to Status.
func (c *Cluster) writeState() error {
	server := c.serverURL()
	c.mutex.Lock()
	state := State{
		Running: true, Ready: !c.ready.IsZero(), DataDir: c.options.DataDir,
		Supervisor: os.Getpid(), Started: c.began.UTC().Truncate(time.Second),
		Server: server, Kubeconfig: c.options.Kubeconfig,
		Nodes: c.options.Nodes, ProcessNode: c.options.ProcessNode,
		Processes: []ProcessState{},
	}
	if state.Ready {
		state.StartSeconds = c.ready.Sub(c.began).Seconds()
	}
	for _, p := range append([]*Process{c.etcd, c.apiServer, c.controllerManager}, c.programs...) {
		if p != nil && p.Running() {
			state.Processes = append(state.Processes, ProcessState{Name: p.name, PID: p.Pid(), Log: p.logPath})
		}
	}
	c.mutex.Unlock()
	text, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return err
	}
	return writeFileAtomically(statePath(c.options.DataDir), append(text, '\n'))
}

// ownedPaths is what a cluster makes in its data directory and what goes with
// it. The logs go only when the next one starts.
var ownedPaths = []string{
	"state.json", "kubeconfig", "controller-manager.kubeconfig", "pki", "etcd", schedulerBinary, controllerBinary,
}

// emptyDataDir removes what an earlier cluster left, and nothing else: the
// directory may be anything.
func (c *Cluster) emptyDataDir() error {
	for _, name := range append([]string{"logs"}, ownedPaths...) {
		if err := os.RemoveAll(c.path(name)); err != nil {
			return err
		}
	}
	return os.MkdirAll(c.path("logs"), 0o700)
}

// removeState removes what is of no use without the cluster.
func (c *Cluster) removeState() error {
	var errs []error
	if c.config != nil {
		errs = append(errs, unmergeKubeconfig(c.options.Kubeconfig, c.serverURL()))
	}
	if c.temporary {
		return errors.Join(append(errs, os.RemoveAll(c.options.DataDir))...)
	}
	for _, name := range ownedPaths {
		errs = append(errs, os.RemoveAll(c.path(name)))
	}
	return errors.Join(errs...)
}

// resident is a process's resident memory in bytes, and whether it runs.
func resident(pid int) (int64, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}
