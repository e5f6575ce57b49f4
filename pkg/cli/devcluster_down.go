package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"lockstep.dev/lockstep/pkg/devcluster"
)

func newDevclusterDownCommand() *cobra.Command {
	var dir string
	command := &cobra.Command{
		Use:   "down",
		Short: "Stop a devcluster",
		Example: `  lockstep devcluster down
  lockstep devcluster down --data-dir /var/tmp/big`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			ran, err := devcluster.Down(command.Context(), dir)
			if err != nil {
				return err
			}
			says := "stopped the devcluster in %s\n"
			if !ran {
				says = "no devcluster runs in %s\n"
			}
			fmt.Fprintf(command.OutOrStdout(), says, dir)
			return nil
		},
	}
	addDataDirFlag(command, &dir)
	return command
}
