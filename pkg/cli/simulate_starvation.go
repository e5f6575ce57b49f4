package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lockstep.dev/lockstep/pkg/sim"
)

func newStarvationCommand() *cobra.Command {
	var (
		options sim.StarvationOptions
		after   time.Duration
		output  outputFormat
	)
	command := &cobra.Command{
		Use:   "starvation",
		Short: "Show that a large gang starts although small jobs would take every GPU that comes free",
		Long: `A cluster of 128 GPUs is kept full by jobs of one GPU, which run for ten minutes to an
hour and ask for more than there is. After two hours comes a gang that needs a block of
64 GPUs. It is replayed without a reservation, where the gang starves until no more
small jobs come, and with one, where it waits until room is reserved for it, and then at
most for as long as the longest small job runs.`,
		Example: `  lockstep simulate starvation
  lockstep simulate starvation --load 1.05 --hours 24 -o json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			options.ReserveAfterSeconds, options.Stopped = int64(after/time.Second), command.Context().Err
			report, err := sim.Starvation(options)
			if err != nil {
				return err
			}
			if output == outputJSON {
				return printJSON(command.OutOrStdout(), report)
			}
			rows := [][]string{{"RESERVATION", "GANG WAITS", "UNTIL RESERVED", "UNTIL DRAINED", "STARVED", "SMALL JOBS WAIT", "ALLOCATED %", "KEPT IDLE %"}}
			for _, row := range []struct {
				name string
				f    sim.StarvationFigures
			}{{"none", report.Without}, {"after " + after.String(), report.With}} {
				reserved, drained := "-", "-"
				if row.f.DrainSeconds > 0 {
					reserved, drained = span(float64(row.f.ReservedSeconds)), span(float64(row.f.DrainSeconds))
				}
				rows = append(rows, []string{
					row.name, span(float64(row.f.GangWaitSeconds)), reserved, drained, yesNo(row.f.Starved),
					span(row.f.SmallMeanSeconds), fixed(row.f.AllocatedPercent), fixed(row.f.KeptPercent),
				})
			}
			s := newScreen(command.OutOrStdout(), time.Now)
			s.plain("\n" + s.bold(fmt.Sprintf("A gang of 64 GPUs among jobs of one GPU at a load of %.2f, for %d hours", report.Load, report.Hours)))
			s.table(rows)
			return nil
		},
	}
	f := command.Flags()
	f.Float64Var(&options.Load, "load", 1.2, "GPU time that the small jobs ask for, over what there is; above 1")
	f.IntVar(&options.Hours, "hours", 12, "how long small jobs come")
	f.DurationVar(&after, "reserve-after", 10*time.Minute, "how long the gang waits before room is reserved for it")
	f.Int64Var(&options.Seed, "seed", 1, "makes the small jobs")
	addOutputFlag(command, &output)
	return command
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
