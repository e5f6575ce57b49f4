package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

// Exit codes of every verb.
const (
	exitYes   = 0
	exitError = 1
	exitNo    = 2
)

// errNo is the answer no, which the command has printed already.
var errNo = errors.New("no")

// pluginName is the file name under which kubectl finds the program.
const pluginName = "kubectl-lockstep"

// Main runs the command line of this process and returns its exit code.
func Main() int {
	// The libraries' own chatter, such as a watch that breaks off at the end; what
	// goes wrong comes back as an error.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	return run(ctx, filepath.Base(os.Args[0]), os.Args[1:], os.Stdout, os.Stderr)
}

// run is Main with everything that comes from outside.
func run(ctx context.Context, program string, args []string, out, errOut io.Writer) int {
	root := newRootCommand(program)
	root.SetArgs(args)
	kept := &output{to: out}
	root.SetOut(kept)
	root.SetErr(errOut)
	command, err := root.ExecuteContextC(ctx)
	if err == nil || errors.Is(err, errNo) {
		if failure := kept.failure(); failure != nil {
			err = failure // half an answer is none
		}
	}
	switch {
	case err == nil:
		return exitYes
	case errors.Is(err, errNo):
		return exitNo
	default:
		fmt.Fprintf(errOut, "%s: %v\n", command.CommandPath(), err)
		return exitError
	}
}

// output is a command's standard output. It remembers the first write that failed, so
// that text, which is printed in many places, is lost no more silently than JSON.
type output struct {
	to io.Writer

	mu  sync.Mutex
	err error
}

func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.to.Write(data)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

func (o *output) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

func newRootCommand(program string) *cobra.Command {
	root := &cobra.Command{
		Use:   "lockstep",
		Short: "Gang scheduling for distributed training on Kubernetes",
		Long: `Lockstep schedules jobs, not pods: a distributed job gets all the GPUs that it
needs, close to each other, or it holds none of them.

Exit codes: 0 yes, 2 a clear no, 1 an error.`,
		Example: `  lockstep devcluster up --nodes 16
  lockstep plan -f nodes.yaml -f job.yaml
  lockstep explain pytorchjob/mnist`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	if program == pluginName {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl lockstep"}
	}
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, command.CommandPath())
	})
	root.AddCommand(
		newBenchCommand(),
		newDemoCommand(),
		newDevclusterCommand(),
		newExplainCommand(),
		newLintCommand(),
		newLogsCommand(),
		newPlanCommand(),
		newQueueCommand(),
		newSimulateCommand(),
		newSubmitCommand(),
		newTopologyCommand(),
		newVerifyCommand(),
		newWaitCommand(),
	)
	return root
}

// version is that of the module this was built from, with its revision.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}

// printJSON writes a value as the -o json of every verb looks.
func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// addOutputFlag adds -o to a verb that prints data; the value is text or json.
func addOutputFlag(command *cobra.Command, value *outputFormat) {
	*value = outputText
	command.Flags().VarP(value, "output", "o", "how to print: text or json")
	_ = command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

// outputFormat is the value of -o.
type outputFormat string

const (
	outputText outputFormat = "text"
	outputJSON outputFormat = "json"
)

func (f *outputFormat) String() string { return string(*f) }
func (f *outputFormat) Type() string   { return "FORMAT" }

func (f *outputFormat) Set(value string) error {
	switch outputFormat(value) {
	case outputText, outputJSON:
		*f = outputFormat(value)
		return nil
	}
	return fmt.Errorf("%q is neither text nor json", value)
}
