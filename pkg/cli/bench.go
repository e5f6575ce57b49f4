package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lockstep.dev/lockstep/pkg/bench"
)

// benchScenarios are the scenarios by name, with the settings that they have
// where the command line does not say.
var benchScenarios = map[string]struct {
	run      func(context.Context, bench.Settings) (*bench.Report, error)
	defaults bench.Settings
}{
	"gang":    {bench.Gang, bench.Settings{Nodes: 1000, Gangs: 100, Size: 8, GPUs: 1, Repeat: 3}},
	"latency": {bench.Latency, bench.Settings{Nodes: 100, Gangs: 50, Size: 3, GPUs: 1, Repeat: 3}},
}

// benchOrder is the order of "all".
var benchOrder = []string{"gang", "latency"}

func newBenchCommand() *cobra.Command {
	var (
		settings bench.Settings
		peers    []string
		out      string
		output   outputFormat
	)
	command := &cobra.Command{
		Use:   "bench SCENARIO",
		Short: "Measure Lockstep beside its peers on a control plane of its own",
		Long: `Measures on a real control plane, with fake nodes that no pod starts on. The
schedulers take turns on fresh nodes, so that what is compared was measured in the
same run; quote the ratios, not the numbers.

  gang      pods per second, from the first create to the last bind
  latency   seconds from the last create of a gang to its last bind, one gang at a time
  all       each of these with its default settings`,
		Example: `  lockstep bench gang --nodes 1000 --gangs 100 --size 8 --peer default
  lockstep bench latency --size 3 --peer none
  lockstep bench all --out bench/out`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: append([]string{"all"}, benchOrder...),
		RunE: func(command *cobra.Command, args []string) error {
			names := args
			if args[0] == "all" {
				names = benchOrder
			}
			settings.Peers = peers
			s := newScreen(command.ErrOrStderr(), time.Now)
			settings.Log = func(line string) { s.plain(s.quiet(line)) }
			for _, name := range names {
				report, err := runBench(command, name, settings)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				if err := keepReport(out, report); err != nil {
					return err
				}
				if output == outputJSON {
					err = printJSON(command.OutOrStdout(), report)
				} else {
					printReport(newScreen(command.OutOrStdout(), time.Now), report)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	flags := command.Flags()
	flags.IntVar(&settings.Nodes, "nodes", 0, "nodes of 8 GPUs (default: the scenario's own)")
	flags.IntVar(&settings.Gangs, "gangs", 0, "number of gangs (default: the scenario's own)")
	flags.IntVar(&settings.Size, "size", 0, "pods of a gang (default: the scenario's own)")
	flags.IntVar(&settings.GPUs, "gpus", 0, "GPUs of a pod (default: the scenario's own)")
	flags.IntVar(&settings.Repeat, "repeat", 0, "turns of each scheduler (default: the scenario's own)")
	flags.StringSliceVar(&peers, "peer", bench.Peers(), "schedulers to measure beside Lockstep: none, "+strings.Join(bench.Peers(), ", "))
	flags.StringVar(&out, "out", "", "directory to keep the report in as JSON")
	addOutputFlag(command, &output)
	return command
}

// runBench runs one scenario with its defaults filled in.
func runBench(command *cobra.Command, name string, settings bench.Settings) (*bench.Report, error) {
	scenario, ok := benchScenarios[name]
	if !ok {
		return nil, fmt.Errorf("no such scenario; there are: all, %s", strings.Join(benchOrder, ", "))
	}
	for _, f := range []struct {
		value     *int
		otherwise int
	}{
		{&settings.Nodes, scenario.defaults.Nodes},
		{&settings.Gangs, scenario.defaults.Gangs},
		{&settings.Size, scenario.defaults.Size},
		{&settings.GPUs, scenario.defaults.GPUs},
		{&settings.Repeat, scenario.defaults.Repeat},
	} {
		if *f.value == 0 {
			*f.value = f.otherwise
		}
	}
	return scenario.run(command.Context(), settings)
}

// keepReport writes a report beside those of other scenarios; no directory means
// that nobody wants it kept.
func keepReport(dir string, report *bench.Report) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, report.Scenario+".json"), append(data, '\n'), 0o644)
}

func printReport(s *screen, report *bench.Report) {
	settings := report.Settings
	s.plain(s.bold(fmt.Sprintf("%s: %d gangs of %d pods with %d GPUs on %d nodes, %d repeats",
		report.Scenario, settings["gangs"], settings["size"], settings["gpus"], settings["nodes"], settings["repeat"])))
	rows := [][]string{{"METRIC", "SCHEDULER", "MEDIAN", "LOW", "HIGH", "LOCKSTEP/THIS"}}
	for _, m := range report.Summaries {
		rows = append(rows, []string{
			m.Metric, m.Scheduler, fmt.Sprintf("%.4g", m.Median), fmt.Sprintf("%.4g", m.Low), fmt.Sprintf("%.4g", m.High),
			fmt.Sprintf("%.2f", m.LockstepOver),
		})
	}
	s.table(rows)
}
