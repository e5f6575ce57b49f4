package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// jobDeleted is what wait can wait for beside the states of a job.
const jobDeleted kubeflowv1.JobConditionType = "Deleted"

// awaitable are the values of --for.
var awaitable = []kubeflowv1.JobConditionType{
	kubeflowv1.JobSucceeded, kubeflowv1.JobRunning, kubeflowv1.JobFailed, jobDeleted,
}

func newWaitCommand() *cobra.Command {
	var (
		goal    = string(kubeflowv1.JobSucceeded)
		timeout time.Duration
	)
	command := &cobra.Command{
		Use:   "wait JOB",
		Short: "Wait until a job has succeeded, or for another state",
		Long: `Waits until a PyTorchJob is in a state: Succeeded, Running, Failed or Deleted. A job that
has succeeded has been Running, too.

Exit codes: 0 it is, 2 it never will be, because the job has ended otherwise, 1 an error, or the
time is over; the message then says where the job stands and what its gang waits for.`,
		Example: `  lockstep wait mnist -n team-a
  lockstep wait mnist --for Running --timeout 10m
  lockstep submit mnist --image train:1 -- python train.py && lockstep wait mnist && lockstep logs mnist`,
		Args: cobra.ExactArgs(1),
	}
	kube := addKubeFlags(command)
	flags := command.Flags()
	flags.StringVar(&goal, "for", goal, "state to wait for: Succeeded, Running, Failed or Deleted")
	flags.DurationVar(&timeout, "timeout", 30*time.Minute, "give up after this time; 0: never")
	_ = command.RegisterFlagCompletionFunc("for", cobra.FixedCompletions([]string{"Succeeded", "Running", "Failed", "Deleted"},
		cobra.ShellCompDirectiveNoFileComp))
	command.ValidArgsFunction = completeJobs(kube)
	command.RunE = func(command *cobra.Command, args []string) error {
		at := slices.IndexFunc(awaitable, func(t kubeflowv1.JobConditionType) bool { return strings.EqualFold(string(t), goal) })
		if at < 0 {
			return fmt.Errorf("--for=%s: is none of Succeeded, Running, Failed, Deleted", goal)
		}
		if timeout < 0 {
			return fmt.Errorf("--timeout=%s: must be 0 or more", timeout)
		}
		name, err := jobArgument(args[0])
		if err != nil {
			return err
		}
		j, err := connectJobs(kube)
		if err != nil {
			return err
		}
		w := &jobWait{jobs: j, job: name, goal: awaitable[at], screen: newScreen(command.OutOrStdout(), time.Now)}
		return w.run(command.Context(), timeout)
	}
	return command
}

// jobWait is one run of the verb.
type jobWait struct {
	*jobs
	job    string
	goal   kubeflowv1.JobConditionType
	screen *screen
}

func (w *jobWait) run(caller context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithCancelCause(caller)
	defer cancel(nil)
	if timeout > 0 {
		defer time.AfterFunc(timeout, func() { cancel(fmt.Errorf("not %s after %s", w.goal, timeout)) }).Stop()
	}
	err := w.until(ctx)
	if err == nil || errors.Is(err, errNo) || ctx.Err() == nil || caller.Err() != nil {
		return err
	}
	return w.late(caller, context.Cause(ctx))
}

// until follows the job until the answer is known.
func (w *jobWait) until(ctx context.Context) error {
	// Asked before anything is watched: a cluster that cannot be reached is an error now.
	if _, err := w.get(ctx, w.job); err != nil {
		return w.absent(err)
	}
	reports, err := follow(ctx, w.client, w.dynamic, scope{namespace: w.namespace, job: w.job})
	if err != nil {
		return err
	}
	if _, err := w.get(ctx, w.job); errors.Is(err, errNoJob) { // it went before the watch stood
		_, err = w.judge(report{gone: true})
		return err
	}
	for {
		select {
		case r := <-reports:
			if r.err != nil {
				return r.err
			}
			if done, err := w.judge(r); done {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// absent is the answer when the job cannot be read.
func (w *jobWait) absent(err error) error {
	if w.goal == jobDeleted && errors.Is(err, errNoJob) {
		w.tell("is deleted")
		return nil
	}
	return err
}

// judge says whether a report answers the question, and how.
func (w *jobWait) judge(r report) (done bool, err error) {
	if r.gone {
		w.tell("is deleted")
		return true, yes(w.goal == jobDeleted)
	}
	state := stateOf(r.job)
	reached := state.Type == w.goal || w.goal == kubeflowv1.JobRunning && state.Type == kubeflowv1.JobSucceeded
	over := ended(state.Type) || state.Type == kubeflowv1.JobInvalid
	if !reached && (!over || w.goal == jobDeleted) {
		return false, nil
	}
	w.tell(string(state.Type) + ": " + state.Message)
	return true, yes(reached)
}

func (w *jobWait) tell(what string) { w.screen.plain(w.name(w.job) + " " + printable(what)) }

// yes is the error of a command that has printed its answer.
func yes(answer bool) error {
	if answer {
		return nil
	}
	return errNo
}

// lateGrace bounds the question where a job stands once the time is over.
const lateGrace = 30 * time.Second

// late says where a job stands that has not come to its goal in time.
func (w *jobWait) late(ctx context.Context, over error) error {
	ctx, cancel := context.WithTimeout(ctx, lateGrace)
	defer cancel()
	job, err := w.get(ctx, w.job)
	if err != nil {
		return fmt.Errorf("%w; %w", over, err)
	}
	return fmt.Errorf("%s: %w: %s", w.name(w.job), over, w.standing(ctx, job))
}
