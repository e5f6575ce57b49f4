package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"lockstep.dev/lockstep/examples"
	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

const (
	namespace     = metav1.NamespaceDefault
	schedulerName = "lockstep"
	fakeNodes     = 16
	gpusPerNode   = 8
	rackSize      = 4
)

// demoOptions are the flags of "lockstep demo".
type demoOptions struct {
	timeout time.Duration
	install bool
}

func newDemoCommand() *cobra.Command {
	options := demoOptions{}
	command := &cobra.Command{
		Use:   "demo",
		Short: "Run the sample job and two rival gangs on a cluster made for it",
		Long: `Starts a Kubernetes control plane on this machine with fake GPU nodes and one node
that runs pods as processes, and on it the scheduler and the controller. Then:

  1. the sample PyTorchJob trains from its YAML to Succeeded;
  2. two gangs that do not fit together show that one runs whole while the other
     waits, holds nothing, and says why.

Nothing is left running. Where torch is missing and the caller is root it is
installed from the distribution's packages.`,
		Example: `  lockstep demo
  lockstep demo --install=false --timeout 5m`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return runDemo(command.Context(), newScreen(command.OutOrStdout(), time.Now), options)
		},
	}
	flags := command.Flags()
	flags.DurationVar(&options.timeout, "timeout", 10*time.Minute, "give up after this time")
	flags.BoolVar(&options.install, "install", true, "install torch with apt-get when it is missing and this is root")
	return command
}

// demo is one run: the cluster, its clients, and what the apiserver reports.
type demo struct {
	screen  *screen
	core    kubernetes.Interface
	dynamic dynamic.Interface
	cluster *devcluster.Cluster
	reports <-chan report
}

// result is one gang's line of the summary.
type result struct {
	board *board
	note  string
}

func runDemo(caller context.Context, s *screen, options demoOptions) (err error) {
	ctx, cancel := context.WithTimeoutCause(caller, options.timeout, fmt.Errorf("gave up after %v; --timeout gives more", options.timeout))
	defer cancel()

	begin := time.Now()
	dir, err := os.MkdirTemp("", "lockstep-demo-")
	if err != nil {
		return err
	}
	defer func() {
		logs := filepath.Join(dir, "cluster", "logs")
		if _, none := os.Stat(logs); err != nil && none == nil && caller.Err() == nil {
			err = fmt.Errorf("%w\nthe logs are in %s", err, logs)
			return
		}
		_ = os.RemoveAll(dir) // in the temporary directory: no harm if something stays
	}()

	s.plain(s.bold("Lockstep: a job gets all of its GPUs, close together, or none of them."))
	d := &demo{screen: s}
	s.begin("A cluster on this machine")
	ensureTorch(ctx, s, options.install)
	if err := d.startCluster(ctx, dir); err != nil {
		return err
	}
	err = d.acts(ctx)
	cancel() // ends the watches, for which the apiserver would wait
	if caller.Err() != nil {
		err = fmt.Errorf("%w; the cluster is stopped", context.Cause(caller))
	}
	if err = errors.Join(err, d.cluster.Stop()); err != nil {
		return err
	}
	s.plain(fmt.Sprintf("\nThe cluster is stopped, nothing is left running. That took %s.", brief(time.Since(begin))))
	return nil
}

// acts are what the demo shows on its cluster.
func (d *demo) acts(ctx context.Context) error {
	if err := d.connect(ctx); err != nil {
		return err
	}
	job, err := d.trainingJob(ctx)
	if err != nil {
		return err
	}
	gangs, err := d.twoGangs(ctx)
	if err != nil {
		return err
	}
	return d.summary(ctx, append([]*result{job}, gangs...))
}

func (d *demo) startCluster(ctx context.Context, dir string) error {
	workspace, err := writeExamples(filepath.Join(dir, "workspace"))
	if err != nil {
		return err
	}
	begin := time.Now()
	d.cluster, err = devcluster.Start(ctx, devcluster.Options{
		DataDir:     filepath.Join(dir, "cluster"),
		Nodes:       fakeNodes,
		Shape:       fakenodes.Shape{GPUs: gpusPerNode, RackSize: rackSize},
		ProcessNode: true,
		Workspace:   workspace,
		Scheduler:   true,
		Controller:  true,
		Log:         func(line string) { d.screen.say("%s", d.screen.quiet(line)) },
	})
	if err != nil {
		return fmt.Errorf("start the cluster: %w", err)
	}
	d.screen.say("%s in %s: %d fake nodes with %d GPUs each in racks of %d, and one node that runs processes",
		d.screen.good("ready"), brief(time.Since(begin)), fakeNodes, gpusPerNode, rackSize)
	return nil
}

// connect makes the clients and begins to follow what happens.
func (d *demo) connect(ctx context.Context) (err error) {
	config := d.cluster.RESTConfig()
	if d.core, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if d.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	d.reports, err = follow(ctx, d.core, d.dynamic, scope{namespace: namespace, pods: true, events: true})
	return err
}

// writeExamples puts the examples where pods will find them as /workspace.
func writeExamples(dir string) (string, error) {
	if err := os.CopyFS(dir, examples.Files); err != nil {
		return "", fmt.Errorf("write the examples: %w", err)
	}
	return dir, nil
}

// next waits for a report, or for the reason why there will be none.
func (d *demo) next(ctx context.Context) (report, error) {
	scheduler, controller := d.cluster.Scheduler(), d.cluster.Controller()
	select {
	case r := <-d.reports:
		return r, r.err
	case err := <-d.cluster.Failed():
		return report{}, err
	case <-scheduler.Done():
		return report{}, fmt.Errorf("the scheduler has ended; see %s", scheduler.LogPath())
	case <-controller.Done():
		return report{}, fmt.Errorf("the controller has ended; see %s", controller.LogPath())
	case <-ctx.Done():
		return report{}, context.Cause(ctx)
	}
}

// explain adds to an error where each pod stood.
func (d *demo) explain(err error, boards ...*board) error {
	var text strings.Builder
	for _, b := range boards {
		fmt.Fprintf(&text, "\ngang %s: %d of %d pods, %d bound", b.name, len(b.members), b.size, b.boundCount())
		if reason := b.lastReason(); reason != "" {
			fmt.Fprintf(&text, "; last reason: %s", reason)
		}
		for _, m := range b.sorted() {
			fmt.Fprintf(&text, "\n  %s: %s on %q %s", m.name, m.phase, m.node, m.failure)
		}
	}
	return fmt.Errorf("%w%s", err, text.String())
}

// summary says what came of it: the times, and where each pod went.
func (d *demo) summary(ctx context.Context, results []*result) error {
	racks, err := d.racks(ctx)
	if err != nil {
		return err
	}
	d.screen.begin("Summary")
	times := [][]string{{"GANG", "PODS", "WAITED", "BOUND WITHIN", "RAN", ""}}
	places := [][]string{{"GANG", "RACK", "WHERE EACH POD WENT"}}
	for _, r := range results {
		b := r.board
		times = append(times, []string{b.name, fmt.Sprint(b.size), brief(b.firstBound.Sub(b.created)),
			brief(b.bound.Sub(b.firstBound)), brief(b.ended.Sub(b.running)), r.note})
		names, pods := byRack(b, racks)
		for _, rack := range names {
			places = append(places, []string{b.name, rack, pods[rack]})
		}
	}
	d.screen.table(times)
	d.screen.plain("")
	d.screen.table(places)
	return nil
}

// racks are the racks of the nodes, by name.
func (d *demo) racks(ctx context.Context) (map[string]string, error) {
	nodes, err := d.core.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list the nodes: %w", err)
	}
	racks := map[string]string{}
	for _, node := range nodes.Items {
		racks[node.Name] = node.Labels[fakenodes.RackLabel]
	}
	return racks, nil
}
