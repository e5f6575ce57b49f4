package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"lockstep.dev/lockstep/pkg/devcluster"
)

func newDevclusterStatusCommand() *cobra.Command {
	var (
		dir    string
		output outputFormat
	)
	command := &cobra.Command{
		Use:   "status",
		Short: "Say whether a devcluster runs, and with what; exit code 2 when none does",
		Example: `  lockstep devcluster status
  lockstep devcluster status -o json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			state, err := devcluster.Status(dir)
			if err != nil {
				return err
			}
			if output == outputJSON {
				err = printJSON(command.OutOrStdout(), state)
			} else {
				printStatus(newScreen(command.OutOrStdout(), time.Now), state)
			}
			if err == nil && !state.Running {
				err = errNo
			}
			return err
		},
	}
	addDataDirFlag(command, &dir)
	addOutputFlag(command, &output)
	return command
}

func printStatus(s *screen, state devcluster.State) {
	if !state.Running {
		s.plain("no devcluster runs in " + state.DataDir)
		return
	}
	how := s.good("ready")
	if !state.Ready {
		how = s.wait("starting")
	}
	s.plain(fmt.Sprintf("%s since %s, supervisor %d, in %s", how, state.Started.Local().Format(time.DateTime), state.Supervisor, state.DataDir))
	nodes := plural(state.Nodes, "fake node")
	if state.ProcessNode {
		nodes += " and the process node"
	}
	s.plain(nodes)
	rows := [][]string{{"PROCESS", "PID", "MEMORY", "LOG"}}
	for _, p := range state.Processes {
		memory := "ended"
		if p.Running {
			memory = strconv.FormatInt(p.ResidentBytes>>20, 10) + " MiB"
		}
		rows = append(rows, []string{p.Name, strconv.Itoa(p.PID), memory, p.Log})
	}
	s.table(rows)
	if state.Ready {
		s.plain("\n  export KUBECONFIG=" + state.Kubeconfig)
	}
}
