package devcluster

import (
	"fmt"
	"path/filepath"
	"time"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// Options say what Start starts. The zero value is a control plane without
// nodes, scheduler or controller, in a temporary directory.
type Options struct {
	// DataDir holds certificates, etcd's data, logs and the state file.
	// Empty: a temporary directory, which Stop removes.
	DataDir string
	// Kubeconfig is where the administrator's kubeconfig is written. A file
	// that is there keeps what it holds. Empty: DataDir/kubeconfig.
	Kubeconfig string
	// BinDir holds Lockstep's binaries. Empty: see FindBinDir.
	BinDir string

	// Nodes is the number of fake GPU nodes.
	Nodes int
	// Shape is what each fake node looks like; zero fields take the values of
	// fakenodes.DefaultShape.
	Shape fakenodes.Shape
	// NodeLease is how long a node may be silent before it counts as lost, in
	// whole seconds. Fake nodes renew four times as often. Zero: DefaultNodeLease.
	NodeLease time.Duration
	// ProcessNode adds a node whose pods run as processes of this machine. The
	// program must have called processnode.MaybeRunShim first in main.
	ProcessNode bool
	// Workspace is the directory that pods of the process node see as
	// /workspace. Empty: none.
	Workspace string

	// Scheduler and Controller start lockstep-scheduler and
	// lockstep-controller with their defaults.
	Scheduler, Controller bool

	// FeatureGates and RuntimeConfig are the apiserver's flags of these names;
	// the gates also go to the controller-manager.
	FeatureGates, RuntimeConfig map[string]bool
	// APIServerArgs and ControllerManagerArgs are added at the end, so they
	// win over the flags set here.
	APIServerArgs, ControllerManagerArgs []string

	// Log takes one line per step of the start. Nil: silence.
	Log func(line string)
}

// DefaultNodeLease is long for a cluster: a thousand nodes that renew every ten
// seconds, as kubelets do, would keep a small machine busy with nothing else.
const DefaultNodeLease = 160 * time.Second

func (o Options) withDefaults() (Options, error) {
	if o.Nodes < 0 {
		return o, fmt.Errorf("nodes: %d is negative", o.Nodes)
	}
	if o.NodeLease == 0 {
		o.NodeLease = DefaultNodeLease
	}
	if o.NodeLease < 4*time.Second || o.NodeLease%time.Second != 0 {
		return o, fmt.Errorf("node lease: %v must be whole seconds, and at least 4s", o.NodeLease)
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	o.Shape = o.Shape.WithDefaults()
	o.Shape.PreferReal = o.Shape.PreferReal || o.ProcessNode
	if err := o.Shape.Validate(); err != nil {
		return o, err
	}
	// The programs get these paths and must not depend on where they start.
	for _, path := range []*string{&o.DataDir, &o.Kubeconfig, &o.BinDir, &o.Workspace} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return o, err
		}
		*path = absolute
	}
	return o, nil
}
