package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lockstep.dev/lockstep/pkg/bench"
)

// everyScenario stands for each of them.
const everyScenario = "all"

// benchFlags are what a user says on the command line.
type benchFlags struct {
	settings    bench.Settings
	gangs, size int
	shapes      []string
	out         string
	output      outputFormat
}

func newBenchCommand() *cobra.Command {
	var flags benchFlags
	names := []string{everyScenario}
	var about strings.Builder
	for _, s := range bench.Scenarios() {
		names = append(names, s.Name)
		fmt.Fprintf(&about, "  %-10s %s\n", s.Name, s.About)
	}
	command := &cobra.Command{
		Use:   "bench SCENARIO",
		Short: "Measure Lockstep beside its peers on a control plane of its own",
		Long: `Measures on a real control plane, with nodes that no machine stands behind. The
schedulers take turns on the same nodes, so that what is compared was measured in
the same run; quote the ratios, not the numbers. The peer "ceiling" is no scheduler:
it knows every answer and only binds.

` + about.String() + `  all        each of these with its own settings`,
		Example: `  lockstep bench gang --nodes 1000 --shapes 64x16,8x64 --peer ceiling,default
  lockstep bench gang --gangs 100 --size 8 --gpus 4 --repeat 1
  lockstep bench all --quick --out bench/out`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: names,
		RunE: func(command *cobra.Command, args []string) error {
			scenarios, err := benchScenarios(args[0], names)
			if err != nil {
				return err
			}
			if err := flags.complete(); err != nil {
				return err
			}
			flags.settings.LeaveOut = args[0] == everyScenario
			if len(scenarios) == 1 {
				tellNotes(command, passedOver(scenarios[0], command.Flags()))
			}
			s := newScreen(command.ErrOrStderr(), time.Now)
			flags.settings.Log = func(line string) { s.plain(s.quiet(line)) }
			for _, scenario := range scenarios {
				if err := flags.run(command, scenario); err != nil {
					return err
				}
			}
			return nil
		},
	}
	f := command.Flags()
	f.IntVar(&flags.settings.Nodes, "nodes", 0, "nodes of 8 GPUs (default: the scenario's own)")
	f.StringSliceVar(&flags.shapes, "shapes", nil, "numbers and sizes of gangs, such as 64x16,8x64 (default: the scenario's own)")
	f.IntVar(&flags.gangs, "gangs", 0, "number of gangs, for one shape only; goes with --size")
	f.IntVar(&flags.size, "size", 0, "pods of a gang; goes with --gangs")
	f.IntVar(&flags.settings.GPUs, "gpus", 0, "GPUs of a pod (default: the scenario's own)")
	f.IntVar(&flags.settings.Repeat, "repeat", 0, "turns of each scheduler (default: the scenario's own)")
	f.StringSliceVar(&flags.settings.Peers, "peer", nil, "what to measure beside Lockstep: none, "+strings.Join(bench.Peers(), ", ")+
		" (default: the scenario's own)")
	f.BoolVar(&flags.settings.Quick, "quick", false, "fewer and smaller cases, one repeat")
	f.StringVar(&flags.settings.Traces, "traces", "../shared/traces", "directory with the traces that openb and elastic replay; "+everyScenario+" leaves these out where it has none")
	f.StringVar(&flags.out, "out", "", "directory to keep the report in as JSON")
	addOutputFlag(command, &flags.output)
	return command
}

// benchScenarios are those that a name stands for.
func benchScenarios(name string, names []string) ([]bench.Scenario, error) {
	if name == everyScenario {
		return bench.Scenarios(), nil
	}
	scenario, ok := bench.Find(name)
	if !ok {
		return nil, fmt.Errorf("no scenario %q; there are: %s", name, strings.Join(names, ", "))
	}
	return []bench.Scenario{scenario}, nil
}

// passedOver says which flags were given that mean nothing to a scenario, and to which ones
// they do. They are no mistake: one line may go with every scenario.
func passedOver(scenario bench.Scenario, given *pflag.FlagSet) []string {
	var notes []string
	given.Visit(func(flag *pflag.Flag) {
		setting := flag.Name
		if setting == "gangs" || setting == "size" {
			setting = "shapes"
		}
		var users []string
		for _, s := range bench.Scenarios() {
			if slices.Contains(s.Uses, setting) {
				users = append(users, s.Name)
			}
		}
		if len(users) > 0 && !slices.Contains(users, scenario.Name) {
			notes = append(notes, fmt.Sprintf("--%s: means nothing to %s, only to %s", flag.Name, scenario.Name, strings.Join(users, ", ")))
		}
	})
	return notes
}

// complete checks the flags and reads the shapes.
func (f *benchFlags) complete() error {
	if err := f.settings.Validate(); err != nil {
		return fmt.Errorf("--%w", err)
	}
	if f.gangs != 0 || f.size != 0 {
		if f.gangs < 1 || f.size < 1 {
			return fmt.Errorf("--gangs %d --size %d: both go together, and each is at least 1", f.gangs, f.size)
		}
		f.shapes = append(f.shapes, bench.Shape{Gangs: f.gangs, Size: f.size}.String())
	}
	for _, text := range f.shapes {
		shape, err := bench.ParseShape(text)
		if err != nil {
			return fmt.Errorf("--shapes: %w", err)
		}
		f.settings.Shapes = append(f.settings.Shapes, shape)
	}
	return nil
}

// run measures, keeps and prints one scenario. What was measured before an error is
// kept and printed as well.
func (f *benchFlags) run(command *cobra.Command, scenario bench.Scenario) error {
	report, failure := scenario.Measure(command.Context(), f.settings)
	if failure != nil && len(report.Runs) == 0 {
		return fmt.Errorf("%s: %w", scenario.Name, failure)
	}
	err := keepReport(f.out, report)
	switch {
	case err != nil:
	case f.output == outputJSON:
		err = printJSON(command.OutOrStdout(), report)
	default:
		printReport(newScreen(command.OutOrStdout(), time.Now), report)
	}
	if failure != nil {
		return fmt.Errorf("%s: %w", scenario.Name, failure)
	}
	return err
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
