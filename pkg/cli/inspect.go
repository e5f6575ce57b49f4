package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/topology"
)

// inspection is what the verbs that look at a cluster have in common: where they
// look, and how nodes are read. It only reads, with the caller's own rights.
type inspection struct {
	files         []string
	fromCluster   bool
	orManifests   bool // manifests take the cluster's place
	levels        []string
	schedulerName string
	victims       bool // disruption budgets are of interest
	kube          *genericclioptions.ConfigFlags
}

// addFlags gives a verb the flags. Verbs that look at manifests in the first place have
// --from-cluster, the others look at the cluster unless there are manifests.
func (i *inspection) addFlags(command *cobra.Command, manifestsFirst bool) {
	flags := command.Flags()
	i.fromCluster, i.orManifests = !manifestsFirst, !manifestsFirst
	if manifestsFirst {
		flags.StringSliceVarP(&i.files, "filename", "f", nil, "manifests: files, directories, or - for standard input")
		flags.BoolVar(&i.fromCluster, "from-cluster", false, "take nodes, pods and pod groups of the current context as well")
	} else {
		flags.StringSliceVarP(&i.files, "filename", "f", nil,
			"look at these manifests instead of the cluster: files, directories, or - for standard input")
	}
	flags.StringSliceVar(&i.levels, "topology-levels", nil,
		"levels of the topology as name=label, widest first (default: the scheduler's; where nodes have none of its labels, those of the cloud or tool that labelled them)")
	flags.StringVar(&i.schedulerName, "scheduler-name", "lockstep", "schedulerName of the pods that Lockstep places")
	i.kube = genericclioptions.NewConfigFlags(true)
	i.kube.AddFlags(flags)
	completeManifests(command)
}

// completeManifests completes the value of -f.
func completeManifests(command *cobra.Command) {
	_ = command.RegisterFlagCompletionFunc("filename", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
	})
}

// live says whether the cluster is looked at.
func (i *inspection) live() bool { return i.fromCluster && (!i.orManifests || len(i.files) == 0) }

// look reads the world that the flags ask for, and tells its notes on standard error.
func (i *inspection) look(command *cobra.Command) (*world, error) {
	w := newWorld()
	if i.live() {
		reader, err := newClusterReader(i.kube)
		if err != nil {
			return nil, err
		}
		if err := reader.fill(command.Context(), w, i.namespace()); err != nil {
			return nil, err
		}
		if i.victims {
			if err := reader.budgets(command.Context(), w, i.namespace()); err != nil {
				return nil, err
			}
		}
	}
	if len(i.files) > 0 {
		if err := w.addManifests(i.files, command.InOrStdin(), i.namespace(), i.schedulerName); err != nil {
			return nil, err
		}
	}
	tellNotes(command, w.notes)
	return w, nil
}

// namespace is the one asked for, else the context's where there is a cluster to look
// at, else default.
func (i *inspection) namespace() string {
	if *i.kube.Namespace != "" || !i.live() {
		return orDefault(*i.kube.Namespace)
	}
	namespace, _, err := i.kube.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return orDefault("")
	}
	return orDefault(namespace)
}

func orDefault(namespace string) string {
	if namespace == "" {
		return "default"
	}
	return namespace
}

// maxNotes is how many notes are told; a fault in thousands of manifests is one fault.
const maxNotes = 20

func tellNotes(command *cobra.Command, notes []string) {
	for _, note := range notes[:min(len(notes), maxNotes)] {
		fmt.Fprintln(command.ErrOrStderr(), "note:", note)
	}
	if more := len(notes) - maxNotes; more > 0 {
		fmt.Fprintf(command.ErrOrStderr(), "note: and %d more like these\n", more)
	}
}

// offline makes a scheduler of a world.
func (i *inspection) offline(w *world) (*kube.Offline, error) {
	levels, err := i.topologyLevels(w)
	if err != nil {
		return nil, err
	}
	mine := func(name string) bool { return name == i.schedulerName }
	return kube.NewOffline(w.Listing, topology.InUse(levels, named(w.Nodes)), mine), nil
}

// topologyLevels are those of the flag; without one they are found, as the scheduler does.
func (i *inspection) topologyLevels(w *world) ([]topology.Level, error) {
	if len(i.levels) > 0 {
		return parseLevels(i.levels)
	}
	levels, _ := topology.Discover(named(w.Nodes))
	return levels, nil
}

// named are nodes as far as levels are concerned: names and labels.
func named(nodes []*corev1.Node) []cluster.Node {
	list := make([]cluster.Node, len(nodes))
	for n, node := range nodes {
		list[n] = cluster.Node{Name: node.Name, Labels: node.Labels}
	}
	return list
}

// parseLevels reads the flag.
func parseLevels(texts []string) ([]topology.Level, error) {
	levels, err := kube.ParseLevels(texts)
	if err != nil {
		return nil, fmt.Errorf("--topology-levels: %w", err)
	}
	return levels, nil
}

// errNoManifests is a call that says neither what to read nor to ask the cluster.
var errNoManifests = errors.New("nothing to read: give manifests by -f, or --from-cluster")
