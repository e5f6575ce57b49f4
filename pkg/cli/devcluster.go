package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func newDevclusterCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "devcluster",
		Short: "A real control plane on this machine, with fake GPU nodes",
		Long: `Runs etcd, kube-apiserver and kube-controller-manager as processes of this machine,
on loopback only, with fake GPU nodes and, on request, a node whose pods are real
local processes. Lockstep's scheduler and controller run on it with the rights that
they have on any cluster. For development: what is in it goes when it stops.`,
		Example: `  lockstep devcluster up --nodes 16 --gpus 8 --detach
  lockstep devcluster status
  lockstep devcluster down`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(newDevclusterUpCommand(), newDevclusterDownCommand(), newDevclusterStatusCommand())
	return command
}

// addDataDirFlag adds the flag that tells one devcluster from another.
func addDataDirFlag(command *cobra.Command, dir *string) {
	command.Flags().StringVar(dir, "data-dir", defaultDataDir(), "directory of the cluster's certificates, logs and state")
	_ = command.MarkFlagDirname("data-dir")
}

func defaultDataDir() string {
	cache, err := os.UserCacheDir()
	if err != nil { // no home directory
		cache = filepath.Join(os.TempDir(), fmt.Sprintf("lockstep-%d", os.Getuid()))
	}
	return filepath.Join(cache, "lockstep", "devcluster")
}
