package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lockstep.dev/lockstep/pkg/topology"
)

func newTopologyCommand() *cobra.Command {
	show := newTopologyShowCommand("topology")
	show.Long += "\n\nWithout a subcommand it is topology show."
	show.AddCommand(newTopologyShowCommand("show"), newTopologyValidateCommand())
	return show
}

func newTopologyShowCommand(use string) *cobra.Command {
	var (
		look     inspection
		resource string
		level    string
		output   outputFormat
	)
	command := &cobra.Command{
		Use:   use,
		Short: "Show the tree of topology domains, what is free in each, and the gangs on each node",
		Long: `Shows the tree of topology domains with what is free of a resource and how much there
is, who is on each node, and for whom room is reserved there. Nodes that are cordoned count
as having nothing free.`,
		Example: `  lockstep topology
  lockstep topology show --level rack
  lockstep topology show -f nodes.yaml --resource cpu -o json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			w, err := look.look(command)
			if err != nil {
				return err
			}
			offline, err := look.offline(w)
			if err != nil {
				return err
			}
			deepest, ok := offline.Tree().Hosts(), true
			if level != "" {
				if deepest, ok = offline.Tree().LevelOf(level); !ok {
					return fmt.Errorf("--level: %q is not known; the levels are %s", level, offline.Tree().LevelNames())
				}
			}
			tree := newDomainTree(offline, w, resource)
			domains := tree.list(deepest)
			if output == outputJSON {
				return printJSON(command.OutOrStdout(), map[string]any{
					"resource": resource, "levels": levelNames(offline.Tree()), "domains": domains,
				})
			}
			printDomains(newScreen(command.OutOrStdout(), time.Now), resource, domains)
			return nil
		},
	}
	look.addFlags(command, false)
	command.Flags().StringVar(&resource, "resource", "nvidia.com/gpu", "resource to count")
	command.Flags().StringVar(&level, "level", "", "the lowest level to show (default: hosts)")
	addOutputFlag(command, &output)
	return command
}

func levelNames(tree *topology.Tree) []string { return strings.Split(tree.LevelNames(), ", ") }

func printDomains(s *screen, resource string, domains []domainView) {
	rows := [][]string{{"DOMAIN", "FREE", "OF", "NODES", "WHO"}}
	for _, d := range domains {
		name := d.Domain
		if cut := strings.LastIndex(name, "/"); cut >= 0 {
			name = name[cut+1:]
		}
		name = strings.Repeat("  ", d.depth) + strings.TrimSpace(d.Level+" "+name)
		who := holdersText(d.Holders)
		for _, r := range d.Reserved {
			who = strings.TrimPrefix(fmt.Sprintf("%s, reserved for %s: %s", who, r.Gang, r.Amount), ", ")
		}
		if d.Cordoned {
			who = strings.TrimSpace("cordoned  " + who)
		}
		if d.Unlabelled {
			who = "no label"
		}
		rows = append(rows, []string{name, d.Free.String(), d.Total.String(), strconv.Itoa(d.Nodes), who})
	}
	s.plain(s.quiet(resource))
	s.table(rows)
}

// holdersText names gangs with what they take; pods without a gang and without the
// resource are nobody's concern here.
func holdersText(list []holder) string {
	var texts []string
	for _, h := range list {
		name := h.Gang
		if name == "" {
			if h.taken == 0 {
				continue
			}
			name = "single pods"
		}
		texts = append(texts, fmt.Sprintf("%s: %s", name, h.Amount))
	}
	const few = 3
	if len(texts) > few {
		texts = append(texts[:few], fmt.Sprintf("%d more", len(texts)-few))
	}
	return strings.Join(texts, ", ")
}
