package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"

	"lockstep.dev/lockstep/pkg/devcluster"
)

// upOptions are the flags of "lockstep devcluster up".
type upOptions struct {
	cluster                     devcluster.Options
	gpus                        int
	cpu, memory                 string
	noScheduler, noController   bool
	featureGates, runtimeConfig []string
	detach                      bool
}

func newDevclusterUpCommand() *cobra.Command {
	o := upOptions{}
	command := &cobra.Command{
		Use:   "up",
		Short: "Start a devcluster and stay until Ctrl-C, or in the background with --detach",
		Example: `  lockstep devcluster up --nodes 16 --gpus 8 --rack-size 4 --racks-per-block 4
  lockstep devcluster up --nodes 4 --process-node --workspace ./examples
  lockstep devcluster up --nodes 1000 --no-controller --detach --data-dir /var/tmp/big`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := o.complete(); err != nil {
				return err
			}
			s := newScreen(command.OutOrStdout(), time.Now)
			if o.detach {
				return upDetached(command.Context(), s, o)
			}
			return up(command.Context(), s, o)
		},
	}
	flags := command.Flags()
	flags.SortFlags = false
	c := &o.cluster
	flags.IntVar(&c.Nodes, "nodes", 16, "number of fake nodes")
	flags.IntVar(&o.gpus, "gpus", 8, "nvidia.com/gpu of each fake node")
	flags.StringVar(&o.cpu, "cpu", "128", "cpu of each fake node")
	flags.StringVar(&o.memory, "memory", "1Ti", "memory of each fake node")
	flags.IntVar(&c.Shape.Pods, "pods", 110, "pods that each fake node takes")
	flags.IntVar(&c.Shape.RackSize, "rack-size", 4, "nodes of a rack")
	flags.IntVar(&c.Shape.RacksPerBlock, "racks-per-block", 4, "racks of a block")
	flags.IntVar(&c.Shape.BlocksPerZone, "blocks-per-zone", 0, "blocks of a zone; 0 puts all into one zone")
	flags.BoolVar(&c.ProcessNode, "process-node", false, "add a node that runs pods as processes of this machine, without isolation worth the name")
	flags.StringVar(&c.Workspace, "workspace", "", "directory that pods of the process node see as /workspace")
	flags.BoolVar(&o.noScheduler, "no-scheduler", false, "do not start lockstep-scheduler")
	flags.BoolVar(&o.noController, "no-controller", false, "do not start lockstep-controller")
	flags.StringVar(&c.Kubeconfig, "kubeconfig", "", "kubeconfig to add the cluster to (default: kubeconfig in the data directory)")
	addDataDirFlag(command, &c.DataDir)
	flags.DurationVar(&c.NodeLease, "node-lease", devcluster.DefaultNodeLease, "how long a node may be silent before it counts as lost")
	flags.StringSliceVar(&o.featureGates, "feature-gates", nil, "feature gates of the control plane, such as GenericWorkload=true")
	flags.StringSliceVar(&o.runtimeConfig, "runtime-config", nil, "APIs of the apiserver, such as scheduling.k8s.io/v1beta1=true")
	flags.BoolVar(&o.detach, "detach", false, "leave it running in the background")
	_ = command.MarkFlagDirname("workspace")
	_ = command.MarkFlagFilename("kubeconfig")
	return command
}

// complete checks the flags and folds them into the cluster's options.
func (o *upOptions) complete() error {
	c := &o.cluster
	for _, count := range []struct {
		flag  string
		value int
		least int
	}{
		{"nodes", c.Nodes, 0},
		{"gpus", o.gpus, 0},
		{"pods", c.Shape.Pods, 1},
		{"rack-size", c.Shape.RackSize, 1},
		{"racks-per-block", c.Shape.RacksPerBlock, 1},
		{"blocks-per-zone", c.Shape.BlocksPerZone, 0},
	} {
		if count.value < count.least {
			return fmt.Errorf("--%s=%d: must be %d or more", count.flag, count.value, count.least)
		}
	}
	if c.Workspace != "" {
		if !c.ProcessNode {
			return errors.New("--workspace needs --process-node: pods of fake nodes see nothing")
		}
		if info, err := os.Stat(c.Workspace); err != nil || !info.IsDir() {
			return fmt.Errorf("--workspace=%s: not a directory", c.Workspace)
		}
	}
	c.Shape.GPUs = o.gpus
	if o.gpus == 0 {
		c.Shape.GPUs = -1 // in a Shape zero is the default
	}
	var errs [4]error
	c.Shape.CPU, errs[0] = quantityFlag("cpu", o.cpu)
	c.Shape.Memory, errs[1] = quantityFlag("memory", o.memory)
	c.FeatureGates, errs[2] = boolMapFlag("feature-gates", o.featureGates)
	c.RuntimeConfig, errs[3] = boolMapFlag("runtime-config", o.runtimeConfig)
	c.Scheduler, c.Controller = !o.noScheduler, !o.noController
	return errors.Join(errs[:]...)
}

func quantityFlag(name, text string) (resource.Quantity, error) {
	quantity, err := resource.ParseQuantity(text)
	if err != nil || quantity.Sign() <= 0 {
		return quantity, fmt.Errorf("--%s=%s: not a positive quantity such as 64 or 512Gi", name, text)
	}
	return quantity, nil
}

func boolMapFlag(name string, pairs []string) (map[string]bool, error) {
	values := map[string]bool{}
	for _, pair := range pairs {
		key, text, _ := strings.Cut(pair, "=")
		value, err := strconv.ParseBool(text)
		if err != nil || key == "" {
			return nil, fmt.Errorf("--%s: %q is not of the form NAME=true or NAME=false", name, pair)
		}
		values[key] = value
	}
	return values, nil
}

// up runs a cluster until the context ends.
func up(ctx context.Context, s *screen, o upOptions) error {
	s.plain(s.bold("Starting a devcluster") + " in " + o.cluster.DataDir)
	o.cluster.Log = func(line string) { s.say("%s", line) }
	cluster, err := devcluster.Start(ctx, o.cluster)
	if err != nil {
		return err
	}
	if os.Getenv(detachedEnv) == "" { // else who started this one says it
		sayReady(s, o, cluster.KubeconfigPath(), "; so does Ctrl-C")
	}

	keepers, stopKeepers := context.WithCancel(ctx)
	kept := keepPrograms(keepers, s, cluster)
	select {
	case <-ctx.Done():
		s.plain("Stopping.")
	case err = <-cluster.Failed():
	}
	stopKeepers()
	<-kept
	return errors.Join(err, cluster.Stop())
}

// sayReady ends the start: what there is, how it is used, and how it ends.
func sayReady(s *screen, o upOptions, kubeconfig, alsoStops string) {
	s.say("%s: %s", s.good("ready"), describe(o.cluster))
	s.plain("\n  export KUBECONFIG=" + kubeconfig + "\n")
	s.plain("lockstep devcluster down" + dataDirHint(o.cluster.DataDir) + " stops it" + alsoStops + ".")
}

// describe says in one line what a cluster has.
func describe(o devcluster.Options) string {
	text := fmt.Sprintf("%s of %s, in racks of %d", plural(o.Nodes, "fake node"), plural(max(o.Shape.GPUs, 0), "GPU"), o.Shape.RackSize)
	if o.ProcessNode {
		text += ", and a node that runs pods as processes of this machine (for development only)"
	}
	return text
}

func dataDirHint(dir string) string {
	if dir == defaultDataDir() {
		return ""
	}
	return " --data-dir " + dir
}
