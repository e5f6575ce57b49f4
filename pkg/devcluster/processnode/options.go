package processnode

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"lockstep.dev/lockstep/pkg/devcluster/processnode/sandbox"
)

// DefaultNodeName is the node's name when Options has none.
const DefaultNodeName = "process-node"

// Options configure a process node. Only DataDir is required.
type Options struct {
	// NodeName is the name of the Node object.
	NodeName string
	// Labels are added to the default labels, and win over them.
	Labels map[string]string
	// Allocatable is what pods may ask for; the default is 8 nvidia.com/gpu, 128 cpu, 1Ti memory, 110 pods.
	// GPUs are only counted: there need not be any.
	Allocatable v1.ResourceList
	// DataDir keeps logs and volumes of pods, and the checkpoints of jobs. The pods' part is emptied at the start;
	// checkpoints stay.
	DataDir string
	// Workspace is shown read-only at /workspace in each container; empty shows nothing.
	Workspace string
	// Images come before the built-in image table.
	Images []Image
	// PodCIDR is the range of pod addresses where pods have networks of their own.
	PodCIDR netip.Prefix
	// Isolation forces one mode; empty takes the best one that works.
	Isolation sandbox.Mode
	// CertFile and KeyFile serve the log endpoint; without them it makes its own certificate, which
	// is enough for an apiserver that has no --kubelet-certificate-authority.
	CertFile, KeyFile string
	// ClientCAFile, when set, lets only clients with a certificate of this authority read logs.
	ClientCAFile string
	// Log takes what the node has to say; the default is slog.Default().
	Log *slog.Logger
}

// complete fills in defaults and checks the rest.
func (o Options) complete() (Options, error) {
	if o.NodeName == "" {
		o.NodeName = DefaultNodeName
	}
	if o.DataDir == "" {
		return o, errors.New("processnode: Options.DataDir: Required")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if !o.PodCIDR.IsValid() {
		o.PodCIDR = defaultPodCIDR
	}
	if !o.PodCIDR.Addr().Is4() || o.PodCIDR.Bits() > 24 {
		return o, fmt.Errorf("processnode: Options.PodCIDR: %s: want an IPv4 range of /24 or larger", o.PodCIDR)
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return o, errors.New("processnode: Options.CertFile and KeyFile: set both or none")
	}
	o.Allocatable = withDefaults(o.Allocatable)
	var err error
	if o.DataDir, err = realPath(o.DataDir); err != nil {
		return o, fmt.Errorf("processnode: Options.DataDir: %w", err)
	}
	if o.Workspace != "" {
		if info, err := os.Stat(o.Workspace); err != nil || !info.IsDir() {
			return o, fmt.Errorf("processnode: Options.Workspace: %q is not a directory", o.Workspace)
		}
		if o.Workspace, err = realPath(o.Workspace); err != nil {
			return o, fmt.Errorf("processnode: Options.Workspace: %w", err)
		}
	}
	return o, nil
}

// realPath makes a directory if need be, and gives its absolute path without symbolic links: mounts are made from it
// in a place where the links would lead elsewhere.
func realPath(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}

func withDefaults(list v1.ResourceList) v1.ResourceList {
	all := v1.ResourceList{
		v1.ResourceCPU:                    resource.MustParse("128"),
		v1.ResourceMemory:                 resource.MustParse("1Ti"),
		v1.ResourcePods:                   resource.MustParse("110"),
		v1.ResourceName("nvidia.com/gpu"): resource.MustParse("8"),
	}
	maps.Copy(all, list)
	return all
}
