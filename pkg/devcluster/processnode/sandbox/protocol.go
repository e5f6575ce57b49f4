package sandbox

import "time"

// Spec is one container to run.
type Spec struct {
	// ID names this run of the container; it must be unique for the life of the Node.
	ID string
	// Network is the key that was given to AddNetwork. Ignored in ModeLoopback.
	Network string
	// Hostname is the UTS name of the container.
	Hostname string
	// Argv is the command; a name without a slash is looked up in the PATH of Env.
	Argv []string
	// Env is the whole environment, as NAME=value.
	Env []string
	// Dir is the working directory; empty means "/".
	Dir string
	// Mounts are applied in order. Ignored in ModeLoopback, where paths are the machine's own.
	Mounts []Mount
	// Log is the file that output is appended to, one line as "<RFC 3339 time> <stream> <F|P> <text>".
	Log string
	// Root is an empty directory where the container's root is put together.
	Root string
}

// Mount shows a file or directory of the machine inside a container.
type Mount struct {
	Source   string
	Target   string
	ReadOnly bool
}

// Exit says how a container ended.
type Exit struct {
	// Code is the exit code; 128+n when signal n ended it.
	Code int
	At   time.Time
}

// Probe is a question to a container's address, asked from the bridge.
type Probe struct {
	// Address is host:port.
	Address string
	// URL, when set, is fetched; any answer from 200 to 399 is a yes. Otherwise a TCP connection is a yes.
	URL     string
	Host    string
	Timeout time.Duration
}

type operation string

const (
	opConfigure     operation = "configure"
	opAddNetwork    operation = "add-network"
	opRemoveNetwork operation = "remove-network"
	opRun           operation = "run"
	opSignal        operation = "signal"
	opProbe         operation = "probe"
)

// request goes from the caller to the keeper.
type request struct {
	Seq     uint64
	Op      operation
	Config  *config `json:",omitempty"`
	Spec    *Spec   `json:",omitempty"`
	Probe   *Probe  `json:",omitempty"`
	ID      string  `json:",omitempty"`
	Address string  `json:",omitempty"`
	Signal  int     `json:",omitempty"`
}

// reply goes from the keeper to the caller: the answer to a request, or, with Seq 0, the news that a container ended.
type reply struct {
	Seq   uint64
	Error string `json:",omitempty"`
	ID    string `json:",omitempty"`
	Exit  *Exit  `json:",omitempty"`
}

// config is what the keeper must know before anything else.
type config struct {
	Mode    Mode
	Gateway string // CIDR of the bridge
	UID     int
	GID     int
}

// initTask is what an init reads from its standard input.
type initTask struct {
	Spec   Spec
	Config config
}

// initVerdict is what an init says once the command runs, or cannot run.
type initVerdict struct {
	Error string `json:",omitempty"`
}
