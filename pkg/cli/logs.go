package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/controller"
)

func newLogsCommand() *cobra.Command {
	var o logOptions
	command := &cobra.Command{
		Use:   "logs JOB",
		Short: "Print what the ranks of a job have written",
		Long: `Prints the logs of a job's pods. Ranks are those of pods: 0 is the Master, or worker-0 where
there is none. Only rank 0 is printed unless --rank or --all-ranks asks for others. With
--all-ranks each line begins with its rank, and without -f the logs follow one another in
rank order.

-f goes on until the job has ended, also when a pod starts later or starts again; where the
connection breaks it reads on at the line where it stopped.`,
		Example: `  lockstep logs mnist -n team-a
  lockstep logs mnist --all-ranks -f
  lockstep logs mnist --rank 3 --previous --tail 50`,
		Args: cobra.ExactArgs(1),
	}
	kube := addKubeFlags(command)
	flags := command.Flags()
	flags.BoolVar(&o.all, "all-ranks", false, "print every rank, each line after its rank: [0] ...")
	flags.IntVar(&o.rank, "rank", 0, "print this rank")
	flags.BoolVarP(&o.follow, "follow", "f", false, "go on until the job has ended")
	flags.Int64Var(&o.tail, "tail", -1, "print only the last lines of each log; -1: all")
	flags.DurationVar(&o.since, "since", 0, "print only what is newer than this, such as 10m; 0: all")
	flags.BoolVarP(&o.previous, "previous", "p", false, "print what the containers wrote before their last restart")
	flags.StringVarP(&o.container, "container", "c", kubeflowv1.ContainerName, "container to read")
	command.ValidArgsFunction = completeJobs(kube)
	command.RunE = func(command *cobra.Command, args []string) error {
		if err := o.check(command.Flags().Changed("rank")); err != nil {
			return err
		}
		name, err := jobArgument(args[0])
		if err != nil {
			return err
		}
		j, err := connectJobs(kube)
		if err != nil {
			return err
		}
		ctx := command.Context()
		job, err := j.get(ctx, name)
		if err != nil {
			return err
		}
		if most := int(kubeflowv1.Largest(kubeflowv1.Effective(job))); o.rank > 0 && o.rank >= most {
			return fmt.Errorf("--rank=%d: %s has ranks 0 to %d", o.rank, j.name(job.Name), most-1)
		}
		r := &logReader{jobs: j, job: job, logOptions: o, out: command.OutOrStdout(), notes: command.ErrOrStderr(), retry: time.Second}
		if o.follow {
			return r.followAll(ctx)
		}
		return r.printAll(ctx)
	}
	return command
}

// logOptions are the flags of logs.
type logOptions struct {
	all, follow, previous bool
	rank                  int
	tail                  int64
	since                 time.Duration
	container             string
}

func (o *logOptions) check(rankGiven bool) error {
	switch {
	case o.all && rankGiven:
		return errors.New("--rank: leave it out, --all-ranks prints every rank")
	case o.rank < 0:
		return fmt.Errorf("--rank=%d: must be 0 or more", o.rank)
	case o.tail < -1:
		return fmt.Errorf("--tail=%d: must be 0 or more, or -1 for all lines", o.tail)
	case o.since < 0:
		return fmt.Errorf("--since=%s: must be 0 or more", o.since)
	case o.follow && o.previous:
		return errors.New("--previous: a container that has ended writes no more; leave --follow out")
	}
	return nil
}

// forPod is what to ask a pod for.
func (o *logOptions) forPod() *corev1.PodLogOptions {
	options := &corev1.PodLogOptions{Container: o.container, Previous: o.previous}
	if o.tail >= 0 {
		options.TailLines = &o.tail
	}
	if seconds := int64((o.since + time.Second - 1) / time.Second); seconds > 0 {
		options.SinceSeconds = &seconds
	}
	return options
}

// logReader reads the logs of one job.
type logReader struct {
	*jobs
	logOptions
	job   *kubeflowv1.PyTorchJob
	out   io.Writer
	notes io.Writer
	retry time.Duration // before a log that broke off is read on
}

// rankOf is the rank of a pod among the pods of the job; false for pods that have none.
func (r *logReader) rankOf(pod *corev1.Pod) (int, bool) {
	index, err := strconv.Atoi(pod.Labels[controller.LabelReplicaIndex])
	if err != nil || index < 0 {
		return 0, false
	}
	if r.job.Spec.PyTorchReplicaSpecs[kubeflowv1.Master] != nil && strings.EqualFold(pod.Labels[roleLabel], string(kubeflowv1.Worker)) {
		index++
	}
	return index, true
}

// wanted says whether a pod's log is asked for, and as which rank.
func (r *logReader) wanted(pod *corev1.Pod) (int, bool) {
	rank, ok := r.rankOf(pod)
	return rank, ok && (r.all || rank == r.rank)
}

// prefix stands before each line of a rank.
func (r *logReader) prefix(rank int) string {
	if !r.all {
		return ""
	}
	return fmt.Sprintf("[%d] ", rank)
}

func (r *logReader) note(format string, args ...any) {
	fmt.Fprintf(r.notes, "note: "+format+"\n", args...)
}

// pods lists those that are asked for, in rank order.
func (r *logReader) pods(ctx context.Context) ([]*corev1.Pod, error) {
	var pods []*corev1.Pod
	err := eachPage(ctx, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		o.LabelSelector = jobNameLabel + "=" + r.job.Name
		return r.client.CoreV1().Pods(r.namespace).List(ctx, o)
	}, func(object runtime.Object) error {
		if pod := object.(*corev1.Pod); r.isWanted(pod) {
			pods = append(pods, pod)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", r.name(r.job.Name), err)
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		x, _ := r.rankOf(a)
		y, _ := r.rankOf(b)
		return x - y
	})
	return pods, nil
}

func (r *logReader) isWanted(pod *corev1.Pod) bool {
	_, ok := r.wanted(pod)
	return ok
}

// printAll prints the logs as they are now, one after another.
func (r *logReader) printAll(ctx context.Context) error {
	pods, err := r.pods(ctx)
	if err != nil {
		return err
	}
	if len(pods) == 0 {
		return fmt.Errorf("%s %s", r.name(r.job.Name), r.whyNoPods(ctx))
	}
	printed := 0
	for _, pod := range pods {
		rank, _ := r.wanted(pod)
		switch err := r.print(ctx, pod, rank); {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && len(pods) == 1:
			return err
		case err != nil:
			r.note("[%d] %v", rank, err)
		default:
			printed++
		}
	}
	if r.all && ended(stateOf(r.job).Type) {
		r.noteDeleted(len(pods))
	}
	if printed == 0 {
		return fmt.Errorf("%s: no rank has a log that can be read; it %s", r.name(r.job.Name), r.standing(ctx, r.job))
	}
	return nil
}

// noteDeleted says that a job that has ended has fewer pods than ranks.
func (r *logReader) noteDeleted(pods int) {
	effective := kubeflowv1.Effective(r.job)
	ranks := kubeflowv1.Pods(effective)
	if p := r.job.Status.Progress; effective.Spec.ElasticPolicy != nil && p != nil && p.Workers != nil {
		ranks += *p.Workers - *effective.Spec.PyTorchReplicaSpecs[kubeflowv1.Worker].Replicas
	}
	if gone := int(ranks) - pods; gone > 0 {
		r.note("%d of %d ranks have no pod any more, and no log: they were deleted when or after the job ended (cleanPodPolicy)", gone, ranks)
	}
}

func (r *logReader) print(ctx context.Context, pod *corev1.Pod, rank int) error {
	if err := r.hasContainer(pod); err != nil {
		return err
	}
	if attemptOf(pod, r.container) < 0 {
		return fmt.Errorf("pod %s/%s has no log yet: it is %s: %s", pod.Namespace, pod.Name, pod.Status.Phase, r.whyPending(ctx, pod))
	}
	stream, err := r.client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, r.forPod()).Stream(ctx)
	if err != nil {
		return fmt.Errorf("the log of pod %s/%s cannot be read: %w", pod.Namespace, pod.Name, r.unreadable(ctx, pod, err))
	}
	defer stream.Close()
	if err := copyLines(stream, func(line []byte) error { return writeLine(r.out, r.prefix(rank), line) }); err != nil {
		return fmt.Errorf("the log of pod %s/%s broke off: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// unreadable is why a log cannot be read. No kubelet answers for a fake node, and what the apiserver says of that
// is about certificates.
func (r *logReader) unreadable(ctx context.Context, pod *corev1.Pod, err error) error {
	node, got := r.client.CoreV1().Nodes().Get(ctx, pod.Spec.NodeName, metav1.GetOptions{})
	if got == nil && node.Annotations[fakeNode] != "" {
		return fmt.Errorf("its node %s is a fake one, on which nothing runs", node.Name)
	}
	return err
}

// fakeNode is the annotation of nodes that kwok stands in for.
const fakeNode = "kwok.x-k8s.io/node"

// hasContainer refuses the name of a container that a pod does not have.
func (r *logReader) hasContainer(pod *corev1.Pod) error {
	var names []string
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for _, container := range containers {
			names = append(names, container.Name)
		}
	}
	if len(names) == 0 || slices.Contains(names, r.container) {
		return nil
	}
	return fmt.Errorf("--container=%s: pod %s/%s has %s", r.container, pod.Namespace, pod.Name, strings.Join(names, ", "))
}

// whyPending is why a pod has not started; where it doesn't say itself, its gang may.
func (r *logReader) whyPending(ctx context.Context, pod *corev1.Pod) string {
	if reason := waitingReason(pod); reason != "" {
		return reason
	}
	return "the job " + r.standing(ctx, r.job)
}

// whyNoPods completes a sentence that begins with the job's name.
func (r *logReader) whyNoPods(ctx context.Context) string {
	if ended(stateOf(r.job).Type) {
		return "has no pods any more, they were deleted when or after it ended (cleanPodPolicy); it " + r.standing(ctx, r.job)
	}
	if !r.all && r.rank > 0 {
		return fmt.Sprintf("has no pod of rank %d; it %s", r.rank, r.standing(ctx, r.job))
	}
	text := r.standing(ctx, r.job)
	if stateOf(r.job).Type == "" {
		return "has no pods yet: " + text
	}
	return "has no pods yet: it " + text
}

// attemptOf numbers the attempts of a container whose log the pod has, from 0; -1 before
// the first. An attempt that has ended counts until the next begins.
func attemptOf(pod *corev1.Pod, container string) int {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for _, c := range statuses {
			if c.Name == container && (c.State.Waiting == nil || c.LastTerminationState.Terminated != nil) {
				return int(c.RestartCount)
			}
		}
	}
	return -1
}

// writes says whether the container writes now.
func writes(pod *corev1.Pod, container string) bool {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for _, c := range statuses {
			if c.Name == container {
				return c.State.Running != nil
			}
		}
	}
	return false
}
