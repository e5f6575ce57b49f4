package cli

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/cluster"
	"lockstep.dev/lockstep/pkg/invariants"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/recorder"
)

func newVerifyCommand() *cobra.Command {
	v := verification{}
	command := &cobra.Command{
		Use:   "verify",
		Short: "Check that what must hold of a cluster's gangs does hold",
		Long: `Lists and watches the cluster, and checks that what must hold does hold: no gang is
bound in part, no node is over-committed, no eviction without a reason, no gang that
fits and waits, and the others that docs/invariants.md lists. It only reads.

Without --watch it judges what is there now. What may be wrong for a moment gets that
moment, up to 15 seconds. With --for it watches for so long, with --watch until it is
interrupted, and tells each violation when it happens.

Exit codes: 0 nothing is wrong, 2 something is, 1 an error.`,
		Example: `  lockstep verify
  lockstep verify --for 60s -o json
  lockstep verify --watch`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return v.run(command) },
	}
	v.look.addFlags(command, false)
	_ = command.Flags().MarkHidden("filename")
	flags := command.Flags()
	flags.BoolVarP(&v.watch, "watch", "w", false, "go on until interrupted")
	flags.DurationVar(&v.period, "for", 0, "watch for so long")
	flags.DurationVar(&v.repair, "repair-bound", 6*time.Minute, "how long a gang may be bound in part; healTimeoutSeconds and a minute")
	command.MarkFlagsMutuallyExclusive("watch", "for")
	addOutputFlag(command, &v.output)
	return command
}

// verification is one run of the command.
type verification struct {
	look   inspection
	watch  bool
	period time.Duration
	repair time.Duration
	output outputFormat

	out       io.Writer
	screen    *screen
	checker   *invariants.Checker
	recording *recorder.Recording
	found     []violationView
}

const (
	// settlePeriod is the longest that anything may be wrong that is told from one look.
	settlePeriod = 15 * time.Second
	// askPeriod is how often the planner is asked about gangs that wait.
	askPeriod = 10 * time.Second
)

func (v *verification) run(command *cobra.Command) error {
	if len(v.look.files) > 0 {
		return errors.New("-f: there is nothing to verify about manifests; lockstep plan checks them")
	}
	if v.period < 0 || v.repair <= 0 {
		return errors.New("--for and --repair-bound are durations such as 60s")
	}
	if err := v.begin(command); err != nil {
		return err
	}
	v.follow(command.Context(), command)
	return v.conclude()
}

// begin lists what is there and judges it.
func (v *verification) begin(command *cobra.Command) error {
	reader, err := newClusterReader(v.look.kube)
	if err != nil {
		return err
	}
	levels, err := v.givenLevels()
	if err != nil {
		return err
	}
	vocabulary := cluster.NewVocabulary()
	v.out, v.screen = command.OutOrStdout(), newScreen(command.OutOrStdout(), time.Now)
	v.checker = invariants.NewChecker(invariants.Options{
		Schedulers: []string{v.look.schedulerName}, SchedulerWriter: kube.SchedulerManager, Levels: levels, Vocabulary: vocabulary, Repair: v.repair,
	})
	namespace, err := v.namespaceToWatch(command, reader)
	if err != nil {
		return err
	}
	v.recording, err = recorder.Record(command.Context(), recorder.Options{
		Client: reader.client, Dynamic: reader.dynamic, Namespace: namespace, Vocabulary: vocabulary,
		Note: func(note string) { tellNotes(command, []string{note}) },
	}, func(e invariants.Event) { v.tell(v.checker.Feed(e)) })
	return err
}

// namespaceToWatch is all of them, or the caller's where others may not be read.
func (v *verification) namespaceToWatch(command *cobra.Command, reader *clusterReader) (string, error) {
	_, err := reader.client.CoreV1().Pods(metav1.NamespaceAll).List(command.Context(), metav1.ListOptions{Limit: 1})
	if !apierrors.IsForbidden(err) {
		return metav1.NamespaceAll, err
	}
	namespace := v.look.namespace()
	tellNotes(command, []string{"you may not list pods of all namespaces: those outside of " + namespace + " are not judged, and do not count on nodes"})
	return namespace, nil
}

// follow watches for as long as was asked for, or until one look is enough.
func (v *verification) follow(ctx context.Context, command *cobra.Command) {
	period := v.period
	if period == 0 {
		period = settlePeriod
	}
	enough := time.After(period)
	if v.watch {
		enough = nil
	}
	tick, ask := time.NewTicker(time.Second), time.NewTicker(askPeriod)
	defer tick.Stop()
	defer ask.Stop()
	for {
		suspicions := 0
		v.recording.Do(func() {
			v.tell(v.checker.Advance(time.Now()))
			suspicions = len(v.checker.Suspected())
		})
		if !v.watch && v.period == 0 && suspicions == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ask.C:
			if err := v.ask(ctx); err != nil && ctx.Err() == nil {
				tellNotes(command, []string{"the planner could not be asked about gangs that wait: " + err.Error()})
			}
		case <-enough:
			return
		case <-ctx.Done():
			return
		}
	}
}
