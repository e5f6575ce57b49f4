package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/kube"
)

// jobs are the PyTorchJobs of one namespace, as the verbs about a job see them: with
// the caller's own rights.
type jobs struct {
	*clusterReader
	namespace string
}

// connectJobs takes the namespace of the flags, else the context's, else default.
func connectJobs(flags *genericclioptions.ConfigFlags) (*jobs, error) {
	reader, err := newClusterReader(flags)
	if err != nil {
		return nil, err
	}
	namespace, _, err := flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return &jobs{reader, orDefault(namespace)}, nil
}

// name is how messages name a job.
func (j *jobs) name(job string) string { return "pytorchjob " + j.namespace + "/" + job }

// errNoJob is the error of get when everything is there but the job.
var errNoJob = errors.New("does not exist")

// get reads a job.
func (j *jobs) get(ctx context.Context, name string) (*kubeflowv1.PyTorchJob, error) {
	u, err := j.dynamic.Resource(jobResource).Namespace(j.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", j.name(name), j.known(err))
	}
	job := &kubeflowv1.PyTorchJob{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, job); err != nil {
		return nil, fmt.Errorf("%s: %w", j.name(name), err)
	}
	return job, nil
}

// known puts "not found", which may mean three things, into words.
func (j *jobs) known(err error) error {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return err
	}
	switch details := status.Status().Details; {
	case details != nil && details.Kind == "namespaces":
		return fmt.Errorf("namespace %s does not exist", j.namespace)
	case details != nil && details.Name != "":
		return errNoJob
	}
	return errors.New("the cluster does not know pytorchjobs.kubeflow.org: install Lockstep's manifests")
}

// jobArgument is the name in NAME or, as kubectl prints it, pytorchjob/NAME.
func jobArgument(text string) (string, error) {
	switch kind, name, err := parseTarget(text); {
	case err != nil:
		return "", err
	case kind != "" && kind != "pytorchjob":
		return "", fmt.Errorf("%q: is a %s, not a pytorchjob", text, kind)
	default:
		return name, nil
	}
}

// stateOf is a job's current state: its last condition. Its type is empty while no
// controller has seen the job.
func stateOf(job *kubeflowv1.PyTorchJob) kubeflowv1.JobCondition {
	if n := len(job.Status.Conditions); n > 0 {
		return job.Status.Conditions[n-1]
	}
	if by := job.Spec.RunPolicy.ManagedBy; by != nil && *by != kubeflowv1.ManagedByOperator {
		return kubeflowv1.JobCondition{Message: "is left to " + *by + " by spec.runPolicy.managedBy"}
	}
	return kubeflowv1.JobCondition{Message: "no controller has taken it up: is lockstep-controller running?"}
}

// ended says whether a state is the last one.
func ended(state kubeflowv1.JobConditionType) bool {
	return state == kubeflowv1.JobSucceeded || state == kubeflowv1.JobFailed
}

// standing says where a job stands: its state, and what keeps its gang waiting.
func (j *jobs) standing(ctx context.Context, job *kubeflowv1.PyTorchJob) string {
	state := stateOf(job)
	text := state.Message
	if state.Type != "" {
		text = "is " + string(state.Type) + ": " + state.Message
	}
	add := func(more string) { text = strings.TrimSuffix(text, ".") + "; " + more }
	for _, c := range job.Status.Conditions {
		if (c.Type == kubeflowv1.JobCreateFailed || c.Type == kubeflowv1.JobSidecarRuns) && c.Status == corev1.ConditionTrue {
			add(c.Message)
		}
	}
	if waits := j.gangWaits(ctx, job.Name); waits != "" && !ended(state.Type) {
		add("its gang waits: " + waits)
		if machines := unmetMachines(job); machines != "" {
			add(machines)
		}
	}
	return text
}

// messageOf is the message of a job's condition that has a status; empty where there is none.
func messageOf(job *kubeflowv1.PyTorchJob, kind kubeflowv1.JobConditionType, status corev1.ConditionStatus) string {
	for _, c := range job.Status.Conditions {
		if c.Type == kind && c.Status == status {
			return c.Message
		}
	}
	return ""
}

// unmetMachines is what has become of the machines that were asked for, as long as they are not there.
func unmetMachines(job *kubeflowv1.PyTorchJob) string {
	return messageOf(job, "Provisioned", corev1.ConditionFalse)
}

// sizeStanding is what there is to say of an elastic job's size: what the cluster's recommender has decided, and why
// another number of Workers runs than was asked for.
func sizeStanding(job *kubeflowv1.PyTorchJob, now time.Time) string {
	text := autoscaledSize(job)
	clamped := messageOf(job, "ScaleClamped", corev1.ConditionTrue)
	if clamped == "" {
		clamped = coolDown(job, now)
	}
	if text != "" && clamped != "" {
		text += "; "
	}
	return text + clamped
}

// coolDown says when an elastic job takes the size that it was asked for, while it may not yet.
func coolDown(job *kubeflowv1.PyTorchJob, now time.Time) string {
	workers, progress := job.Spec.PyTorchReplicaSpecs[kubeflowv1.Worker], job.Status.Progress
	if job.Spec.ElasticPolicy == nil || workers == nil || workers.Replicas == nil ||
		progress == nil || progress.Workers == nil || progress.LastResize == nil || *progress.Workers == *workers.Replicas {
		return ""
	}
	terms, _ := kubeflowv1.ReadTerms(job.Annotations)
	next := progress.LastResize.Add(terms.Cooldown)
	if !now.Before(next) {
		return ""
	}
	return fmt.Sprintf("Worker.replicas is %d: %d are run until %s, as the size changes at most once in %s (%s)",
		*workers.Replicas, *progress.Workers, next.UTC().Format(time.RFC3339), terms.Cooldown, kubeflowv1.AnnotationResizeCooldown)
}

// autoscaledSize is what the cluster's recommender has decided on a job's size, and what the job has
// told of its checkpoints.
func autoscaledSize(job *kubeflowv1.PyTorchJob) string {
	text := messageOf(job, "Autoscaled", corev1.ConditionTrue)
	progress := job.Status.Progress
	if text == "" || progress == nil || progress.Checkpoint == nil {
		return text
	}
	text += "; its last checkpoint is of " + progress.Checkpoint.Last.UTC().Format(time.RFC3339)
	if every := progress.Checkpoint.EverySeconds; every > 0 {
		text += ", one every " + (time.Duration(every) * time.Second).String()
	}
	return text
}

// gangWaits is what the scheduler has written on the PodGroup of a job that has no
// place; empty when it has, or when nothing is known.
func (j *jobs) gangWaits(ctx context.Context, job string) string {
	u, err := j.dynamic.Resource(kube.PodGroups).Namespace(j.namespace).Get(ctx, job, metav1.GetOptions{})
	if err != nil {
		return ""
	}
	status, _, _ := unstructured.NestedMap(u.Object, "status")
	var known kube.GroupStatus
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(status, &known); err != nil {
		return ""
	}
	c := meta.FindStatusCondition(known.Conditions, kube.ScheduledCondition)
	if c == nil || c.Status == metav1.ConditionTrue {
		return ""
	}
	if c.Message == "" {
		return c.Reason
	}
	return c.Message
}

// waitingReason is why a pod has not started: the scheduler's reason, or its container's.
func waitingReason(pod *corev1.Pod) string {
	if reason := unschedulableReason(pod); reason != "" {
		return reason
	}
	if reason := failureOf(pod); reason != "" {
		return reason
	}
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == kubeflowv1.ContainerName && c.State.Waiting != nil {
			return c.State.Waiting.Reason
		}
	}
	return ""
}

// addKubeFlags gives a verb the flags that say which cluster and which namespace.
func addKubeFlags(command *cobra.Command) *genericclioptions.ConfigFlags {
	flags := genericclioptions.NewConfigFlags(true)
	flags.AddFlags(command.Flags())
	return flags
}

// completeJobs offers the jobs of the namespace; none where they cannot be listed.
func completeJobs(flags *genericclioptions.ConfigFlags) cobra.CompletionFunc {
	return func(command *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		j, err := connectJobs(flags)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list, err := j.dynamic.Resource(jobResource).Namespace(j.namespace).List(command.Context(), metav1.ListOptions{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for i := range list.Items {
			names = append(names, list.Items[i].GetName())
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
