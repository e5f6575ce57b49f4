package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lockstep.dev/lockstep/pkg/topology"
)

func newTopologyValidateCommand() *cobra.Command {
	var (
		look   inspection
		output outputFormat
	)
	command := &cobra.Command{
		Use:   "validate",
		Short: "Check the nodes' topology labels; exit code 2 when there is something to mend",
		Long: `Looks for topology labels that nodes lack, for values that stand in several places, so
that the labels make no tree, and for levels that tell nothing apart.`,
		Example: `  lockstep topology validate
  lockstep topology validate -f nodes.yaml --topology-levels block=example.com/block,rack=example.com/rack`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			w, err := look.look(command)
			if err != nil {
				return err
			}
			levels, err := look.topologyLevels(w)
			if err != nil {
				return err
			}
			offline, err := look.offline(w)
			if err != nil {
				return err
			}
			report := topology.Validate(levels, offline.Nodes())
			if output == outputJSON {
				err = printJSON(command.OutOrStdout(), report)
			} else {
				printTopologyReport(newScreen(command.OutOrStdout(), time.Now), levels, report)
			}
			if err == nil && !report.Good() {
				err = errNo
			}
			return err
		},
	}
	look.addFlags(command, false)
	addOutputFlag(command, &output)
	return command
}

// maxListed is how many nodes with the same fault are named.
const maxListed = 10

func printTopologyReport(s *screen, levels []topology.Level, report topology.Report) {
	if len(levels) == 0 {
		s.plain("no node bears a topology label: every gang lies in the cluster or on one host")
		return
	}
	keys := map[string]string{}
	for _, level := range levels {
		keys[level.Name] = level.Key
		s.plain(fmt.Sprintf("level %s: label %s", s.name(level.Name), level.Key))
	}
	for _, u := range report.Unlabelled[:min(len(report.Unlabelled), maxListed)] {
		missing := make([]string, len(u.Levels))
		for i, level := range u.Levels {
			missing[i] = keys[level]
		}
		s.plain(fmt.Sprintf("%s lacks %s: it is of no use to gangs that require such a level", s.bad("node "+u.Node), strings.Join(missing, ", ")))
	}
	if more := len(report.Unlabelled) - maxListed; more > 0 {
		s.plain(fmt.Sprintf("and %s lack labels", plural(more, "more node")))
	}
	for _, r := range report.Reused {
		s.plain(fmt.Sprintf("%s stands in %s: if that is one %s its outer labels differ, else give the two different names",
			s.bad(r.Level+" "+r.Value), strings.Join(r.Paths, " and in "), r.Level))
	}
	for _, level := range report.Idle {
		s.plain(fmt.Sprintf("%s tells nothing apart that the levels beside it do not; it does no harm", s.wait("level "+level)))
	}
	if report.Good() {
		s.plain(s.good("the labels make a tree"))
	}
}
