package cli

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lockstep.dev/lockstep/pkg/sim"
)

// simulateFlags are what a user says on the command line.
type simulateFlags struct {
	nodes, jobs, topology, report string
	policies, queues              []string
	arrive                        float64
	seed                          int64
	seeds                         int
	patience                      time.Duration
	elastic                       string
	load                          float64
	loads                         []float64
	restart, checkpoint           time.Duration
	reserveAfter, reclaimAfter    time.Duration
	preemption, declare           bool
	given                         func(flag string) bool
	note                          func(notes []string)
	stopped                       func() error
}

func newSimulateCommand() *cobra.Command {
	var (
		flags  simulateFlags
		output outputFormat
	)
	command := &cobra.Command{
		Use:   "simulate --nodes NODES.csv --jobs JOBS.csv",
		Short: "Replay a trace through the scheduler's own decisions and those of others",
		Long: `Replay a trace. The columns of the jobs say what is done with it:

  name, cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec
      Single pods that may share GPUs (an openb trace). They are placed one by one on
      empty nodes until --arrive times the cluster's GPUs have been asked for; what
      stays unallocated is compared. Nodes: sn, cpu_milli, memory_mib, gpu, model.

  job, submit_s, duration_s, workers, gpu_per_worker, cpu_milli_per_worker,
  memory_mib_per_worker, master_cpu_milli [, min_workers, max_workers, priority,
  required, preferred, queue, fails_at]
      Gangs that arrive, wait, run and leave. Nodes: node, gpu, cpu_milli, memory_mib,
      and zone, block, rack, as far as they have them (or a table of these, by node,
      as --topology). With --elastic, jobs may have any size from min_workers to
      max_workers, and are compared with the same jobs at the size of workers.

The same files and the same seed give the same result on every machine.`,
		Example: `  lockstep simulate --nodes nodes.csv --jobs pods.csv --policy lockstep,fgd,best-fit --seeds 10
  lockstep simulate --nodes cluster.csv --jobs gangs.csv --policy all --report report.html
  lockstep simulate --nodes cluster.csv --jobs gangs.csv --elastic trace --loads 0.7,0.95,1.2 --seeds 8`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			flags.given, flags.stopped = command.Flags().Changed, command.Context().Err
			flags.note = func(notes []string) { tellNotes(command, notes) }
			result, err := flags.simulate()
			if err != nil {
				return err
			}
			if flags.report != "" {
				if err := writeReport(flags.report, result.page()); err != nil {
					return err
				}
			}
			if output == outputJSON {
				return printJSON(command.OutOrStdout(), result)
			}
			s := newScreen(command.OutOrStdout(), time.Now)
			for _, table := range result.tables() {
				s.plain("\n" + s.bold(table.Title))
				s.table(table.Rows)
			}
			return nil
		},
	}
	f := command.Flags()
	f.StringVar(&flags.nodes, "nodes", "", "table of the nodes, a CSV file")
	f.StringVar(&flags.jobs, "jobs", "", "table of the pods or jobs, a CSV file")
	f.StringVar(&flags.topology, "topology", "", "table of the nodes' zone, block and rack, where that of the nodes has none")
	f.StringSliceVar(&flags.policies, "policy", []string{"lockstep"}, "one or more of "+strings.Join(sim.Policies, ", ")+", or all")
	f.Float64Var(&flags.arrive, "arrive", 1.3, "how much GPU single pods ask for together, times the cluster's")
	f.Int64Var(&flags.seed, "seed", 42, "makes the order in which single pods arrive, and random choices")
	f.IntVar(&flags.seeds, "seeds", 1, "how many runs with seeds from --seed on, for single pods and with --elastic; there the first is the trace as it is, and in each other one all jobs are submitted up to a minute later")
	f.DurationVar(&flags.patience, "patience", time.Hour, "how long a gang lets younger ones start before it while it does not fit; lockstep has --reserve-after")
	f.DurationVar(&flags.reserveAfter, "reserve-after", 10*time.Minute, "how long a gang waits before lockstep reserves room for it; 0: it never does")
	f.DurationVar(&flags.reclaimAfter, "reclaim-after", 10*time.Minute, "with --queues: how long a gang waits before lockstep ends those for it that other queues run beyond their fair share; 0: it never does")
	f.BoolVar(&flags.preemption, "preemption", false, "let lockstep end gangs for such of higher priority")
	f.BoolVar(&flags.declare, "declare-durations", false, "let gangs tell lockstep how long they will run, so that it can let others go before a reservation")
	f.StringSliceVar(&flags.queues, "queues", nil, "queues that share the cluster, as NAME=WEIGHT, or NAME=WEIGHT:GPUS with what is guaranteed; gangs that name none (column queue) are in them in turn")
	f.StringVar(&flags.elastic, "elastic", "", "compare elastic jobs with jobs of a fixed size: trace (those with max_workers above min_workers) or "+
		"all (every job of several workers, from half to twice as many)")
	f.Float64Var(&flags.load, "load", 0, "GPU time that gangs ask for over what there is; arrivals are drawn together or apart; 0 leaves them")
	f.Float64SliceVar(&flags.loads, "loads", []float64{0.7, 0.95, 1.2}, "with --elastic: GPU time asked for over what there is; arrivals are drawn together or apart")
	f.DurationVar(&flags.restart, "restart", time.Minute, "how long a change of size, or an eviction, stops a job besides")
	f.DurationVar(&flags.checkpoint, "checkpoint", 5*time.Minute, "time between checkpoints; a change of size, or an eviction, loses the work since the last")
	f.StringVar(&flags.report, "report", "", "write a page with charts to this file as well (HTML, needs no network)")
	addOutputFlag(command, &output)
	_ = command.MarkFlagRequired("nodes")
	_ = command.MarkFlagRequired("jobs")
	_ = command.RegisterFlagCompletionFunc("policy",
		cobra.FixedCompletions(append([]string{"all"}, sim.Policies...), cobra.ShellCompDirectiveNoFileComp))
	command.AddCommand(newStarvationCommand())
	return command
}

// simulation is a result that can be printed.
type simulation interface {
	tables() []reportTable
	page() reportPage
}

func (f *simulateFlags) simulate() (simulation, error) {
	if slices.Equal(f.policies, []string{"all"}) {
		f.policies = sim.Policies
	}
	for _, policy := range f.policies {
		if !slices.Contains(sim.Policies, policy) {
			return nil, fmt.Errorf("--policy: %q is not one of %s, or all", policy, strings.Join(sim.Policies, ", "))
		}
	}
	if f.seeds < 1 || f.seeds > 1000 {
		return nil, fmt.Errorf("--seeds: %d is not from 1 to 1000", f.seeds)
	}
	header, err := headerOf(f.jobs)
	if err != nil {
		return nil, err
	}
	what, err := f.of(header)
	if err != nil {
		return nil, err
	}
	notes, err := f.suit(what)
	if err != nil {
		return nil, err
	}
	f.note(notes)
	if what == ofPods {
		return f.simulatePods()
	}
	return f.simulateGangs()
}

// headerOf is the names of a table's columns.
func headerOf(name string) ([]string, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return sim.Table{Name: name, Text: file}.Header()
}

// withTables opens files for read; an empty name gives an empty table.
func withTables(read func(tables []sim.Table) error, names ...string) error {
	tables := make([]sim.Table, len(names))
	for i, name := range names {
		if name == "" {
			continue
		}
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		tables[i] = sim.Table{Name: name, Text: file}
	}
	return read(tables)
}

// each calls run for 0 to n-1, as many at a time as there are processors, and
// returns the error of the lowest number.
func each(n int, run func(i int) error) error {
	errs := make([]error, n)
	turns := make(chan int)
	done := make(chan struct{})
	workers := min(n, runtime.GOMAXPROCS(0))
	for range workers {
		go func() {
			for i := range turns {
				errs[i] = run(i)
			}
			done <- struct{}{}
		}()
	}
	for i := range n {
		turns <- i
	}
	close(turns)
	for range workers {
		<-done
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
