package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulingv1alpha1 "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/controller"
	"lockstep.dev/lockstep/pkg/gang"
	"lockstep.dev/lockstep/pkg/kube"
	"lockstep.dev/lockstep/pkg/placement"
)

func newExplainCommand() *cobra.Command {
	var (
		look   inspection
		output outputFormat
	)
	command := &cobra.Command{
		Use:   "explain [KIND/]NAME",
		Short: "Say why a gang waits, or where it sits",
		Long: `Says why a gang waits: what is missing in each domain of the topology and who holds it
there, what it waits for, and its place in the queue. Of a gang that has its place it
says where that is. KIND is podgroup, pytorchjob or pod; a NAME alone is that of a job or of a
pod group. Of a job that has no gang, because it is suspended, has ended or cannot be made, it says that.

The answer is worked out from what is there now, by the scheduler's own code; what the
scheduler itself has written on the PodGroup stands beside it.`,
		Example: `  lockstep explain mnist -n team-a
  lockstep explain podgroup/mnist -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			kind, name, err := parseTarget(args[0])
			if err != nil {
				return err
			}
			job, err := look.jobNamed(command.Context(), kind, name)
			if err != nil {
				return err
			}
			if job != nil && job.idle {
				return job.print(command, output)
			}
			w, err := look.look(command)
			if err != nil {
				return err
			}
			key, err := gangNamed(w, kind, gang.Key{Namespace: look.namespace(), Name: name}, look.schedulerName)
			switch {
			case err != nil && job != nil:
				return job.print(command, output)
			case err != nil:
				return err
			}
			offline, err := look.offline(w)
			if err != nil {
				return err
			}
			if _, known := offline.Standing(key); !known {
				return fmt.Errorf("podgroups.scheduling.x-k8s.io %s does not exist, and its pods have ended", key)
			}
			tellNotes(command, append(queueNotes(offline), foreignNotes(w, key, look.schedulerName)...))
			e := explainGang(offline, w, key, time.Now)
			if job != nil {
				e.Size, e.Trouble, e.Machines = job.size, job.trouble, job.machines
			}
			if output == outputJSON {
				return printJSON(command.OutOrStdout(), e)
			}
			printExplanation(newScreen(command.OutOrStdout(), time.Now), e)
			return nil
		},
	}
	look.addFlags(command, false)
	addOutputFlag(command, &output)
	command.ValidArgsFunction = func(command *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return look.completeGangs(command.Context()), cobra.ShellCompDirectiveNoFileComp
	}
	return command
}

// jobStanding is all that there is to say of a job that has no gang to explain.
type jobStanding struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	State     string `json:"state"`
	Message   string `json:"message"`

	text string
	// size is what there is to say of an elastic job's, machines what has become of those that were asked for.
	size, machines string
	// idle: it is suspended, cannot be run, or has ended.
	idle bool
	// trouble is what the controller could not make of it.
	trouble string
}

// jobNamed is where the job that a target speaks of stands; nil where it speaks of none.
func (i *inspection) jobNamed(ctx context.Context, kind, name string) (*jobStanding, error) {
	if !i.live() || kind != "pytorchjob" && kind != "" {
		return nil, nil
	}
	j, err := connectJobs(i.kube)
	if err != nil {
		return nil, err
	}
	job, err := j.get(ctx, name)
	if errors.Is(err, errNoJob) && kind != "" {
		return nil, err
	}
	if job == nil {
		return nil, nil // the pods may tell more than the caller may see of the job
	}
	state, standing := stateOf(job), j.standing(ctx, job)
	s := &jobStanding{
		Namespace: j.namespace, Name: name, State: string(state.Type), Message: standing,
		text: j.name(name) + " " + standing, size: sizeStanding(job, time.Now()), machines: unmetMachines(job),
		idle: ended(state.Type) || state.Type == kubeflowv1.JobSuspended || state.Type == kubeflowv1.JobInvalid,
	}
	for _, c := range job.Status.Conditions {
		if c.Type == kubeflowv1.JobCreateFailed && c.Status == corev1.ConditionTrue {
			s.trouble = c.Message
		}
	}
	return s, nil
}

func (s *jobStanding) print(command *cobra.Command, output outputFormat) error {
	if output == outputJSON {
		return printJSON(command.OutOrStdout(), s)
	}
	newScreen(command.OutOrStdout(), time.Now).plain(printable(s.text))
	return nil
}

// completeGangs lists the pod groups of the namespace; none where that fails.
func (i *inspection) completeGangs(ctx context.Context) []string {
	reader, err := newClusterReader(i.kube)
	if err != nil {
		return nil
	}
	list, err := reader.dynamic.Resource(kube.PodGroups).Namespace(i.namespace()).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var names []string
	for n := range list.Items {
		names = append(names, "podgroup/"+list.Items[n].GetName())
	}
	return names
}

// The kinds that explain takes, by the names that people call them.
var targets = map[string]string{
	"podgroup": "podgroup", "podgroups": "podgroup", "pg": "podgroup", "pgs": "podgroup", "podgroups.scheduling.x-k8s.io": "podgroup",
	"pytorchjob": "pytorchjob", "pytorchjobs": "pytorchjob", "pytorchjobs.kubeflow.org": "pytorchjob",
	"pod": "pod", "pods": "pod", "po": "pod",
}

// parseTarget reads KIND/NAME, or NAME alone, whose kind is empty.
func parseTarget(text string) (kind, name string, err error) {
	kind, name, ok := strings.Cut(text, "/")
	if !ok && text != "" {
		return "", text, nil
	}
	if name == "" || strings.Contains(name, "/") {
		return "", "", fmt.Errorf("%q is not KIND/NAME, such as podgroup/mnist", text)
	}
	if known := targets[strings.ToLower(kind)]; known != "" {
		return known, name, nil
	}
	return "", "", fmt.Errorf("%q: the kind is none of podgroup, pytorchjob, pod", text)
}

// gangNamed finds the gang that a target speaks of.
func gangNamed(w *world, kind string, target gang.Key, schedulerName string) (gang.Key, error) {
	exists := slices.ContainsFunc(w.PodGroups, func(pg *schedulingv1alpha1.PodGroup) bool {
		return pg.Namespace == target.Namespace && pg.Name == target.Name
	})
	for _, pod := range w.Pods {
		key, member := kube.GangOf(pod)
		switch {
		case pod.Namespace != target.Namespace:
		case kind != "pytorchjob" && kind != "pod" && member && key == target:
			return target, nil
		case kind != "podgroup" && kind != "pod" && member && pod.Labels[controller.LabelJobName] == target.Name:
			return key, nil
		case kind == "pod" && pod.Name == target.Name:
			return gangOfPod(pod, schedulerName)
		}
	}
	switch {
	case kind == "pod":
		return target, fmt.Errorf("pod %s does not exist", target)
	case exists:
		return target, nil
	case kind == "pytorchjob":
		return target, fmt.Errorf("pytorchjob %s has neither pods nor a PodGroup: does it exist, and is it neither suspended nor over?", target)
	case kind == "":
		return target, fmt.Errorf("there is neither a pytorchjob with pods nor a pod group %s", target)
	}
	return target, fmt.Errorf("podgroups.scheduling.x-k8s.io %s does not exist, and no pod has its label", target)
}

func gangOfPod(pod *corev1.Pod, schedulerName string) (gang.Key, error) {
	key, member := kube.GangOf(pod)
	if !member {
		return key, fmt.Errorf("pod %s/%s belongs to no gang: it has no label %s", pod.Namespace, pod.Name, kube.PodGroupLabel)
	}
	if pod.Spec.SchedulerName != schedulerName {
		return key, fmt.Errorf("pod %s/%s is placed by scheduler %q, not by %q", pod.Namespace, pod.Name, pod.Spec.SchedulerName, schedulerName)
	}
	return key, nil
}

// foreignNotes tells of pods that look like members and are placed by another scheduler.
func foreignNotes(w *world, key gang.Key, schedulerName string) []string {
	var notes []string
	for _, pod := range w.Pods {
		if of, member := kube.GangOf(pod); member && of == key && pod.Spec.SchedulerName != schedulerName {
			notes = append(notes, fmt.Sprintf("pod %s/%s is placed by scheduler %q and does not count", pod.Namespace, pod.Name, pod.Spec.SchedulerName))
		}
	}
	return notes
}

// explanation is all there is to say of one gang, in the names of the JSON output.
type explanation struct {
	gangPlan
	State string `json:"state"`
	// Position in the queue, from 1; 0 for a gang that does not wait.
	Position   int      `json:"position"`
	Ahead      []string `json:"ahead"`
	Priority   int32    `json:"priority"`
	AgeSeconds *int64   `json:"age_seconds"`
	// Queue is the one that the gang is charged to; absent where it is in none.
	Queue string `json:"queue,omitempty"`
	// Size is what the cluster's recommender says of the job's, and why another number of Workers runs than was
	// asked for; absent where there is nothing to say.
	Size string `json:"size,omitempty"`
	// Machines is what has become of those that the job has asked cluster autoscalers for; absent once they are there.
	Machines string `json:"machines,omitempty"`
	// Topology is the closeness that the gang asks for; absent where it asks for none.
	Topology *topologyWish `json:"topology,omitempty"`
	// Reservation is room that is kept for the gang; absent where none is.
	Reservation *reservedRoom `json:"reservation,omitempty"`
	// Held says of each domain in Missing who is there.
	Missing []heldShortage `json:"missing"`
	// Roomiest are domains with much free of what the cluster lacks.
	Roomiest []domainView `json:"roomiest,omitempty"`
	// Barred members do not count, whatever the rest does.
	Barred []barredPod `json:"barred,omitempty"`
	// Trouble is what the controller could not make of the gang's job, such as a pod that a quota has no room for.
	Trouble   string            `json:"trouble,omitempty"`
	Unchecked []string          `json:"unchecked,omitempty"`
	Condition *metav1.Condition `json:"condition,omitempty"`

	now time.Time
}

type heldShortage struct {
	shortage
	Holders []holder `json:"holders"`
}

type barredPod struct {
	Pod string `json:"pod"`
	Why string `json:"why"`
}

// explainGang lets the queue run up to the gang, so that it sees what those ahead get.
func explainGang(o *kube.Offline, w *world, key gang.Key, now func() time.Time) explanation {
	before, _ := o.Standing(key)
	e := explanation{State: string(before.Status.Phase), Ahead: []string{}, Missing: []heldShortage{}, now: now()}
	var seconds float64
	line := o.Queue()
	if at := slices.Index(line, key); at >= 0 {
		e.Position = at + 1
		for _, other := range line[:at] {
			e.Ahead = append(e.Ahead, other.String())
			o.Try(other)
		}
		begin := now()
		o.Try(key)
		seconds = now().Sub(begin).Seconds()
	}
	s, _ := o.Standing(key)
	e.gangPlan = newGangPlan(o, s)
	e.Seconds = seconds
	e.addPods(s)
	e.Topology, e.Reservation = newTopologyWish(o, s), reservationOf(o, w, key)
	if s.Group != nil {
		e.AgeSeconds = age(s.Group.CreationTimestamp, now())
		e.Queue = o.Quota().Spec(s.Group).Queue
	}
	e.addShortages(o, w, s.Rejection)
	if said, ok := w.said[key]; ok {
		e.Condition = &said
	}
	return e
}

// addShortages says who is where the gang lacks room. What lacks the whole cluster is
// told of its roomiest parts as well.
func (e *explanation) addShortages(o *kube.Offline, w *world, r *placement.Rejection) {
	if r == nil {
		return
	}
	for i, m := range shortages(o, r) {
		if r.Missing[i].Resource == placement.Hosts {
			e.Missing = append(e.Missing, heldShortage{m, []holder{}})
			continue
		}
		tree := newDomainTree(o, w, m.Resource)
		e.Missing = append(e.Missing, heldShortage{m, tree.in(r.Missing[i].Domain)})
		if r.Missing[i].Domain == 0 {
			e.Roomiest = tree.roomiest(maxRoomiest)
		}
	}
}

// maxRoomiest is how many parts of the cluster are told of.
const maxRoomiest = 8

func (e *explanation) addPods(s kube.Standing) {
	for i, place := range s.Places {
		if i == 0 {
			e.Priority = kube.Priority(place.Pod)
		}
		if place.Barred != "" && !place.Bound {
			e.Barred = append(e.Barred, barredPod{place.Pod.Name, place.Barred})
		}
		for _, name := range kube.Unchecked(place.Pod) {
			if !place.Bound && !slices.Contains(e.Unchecked, name) {
				e.Unchecked = append(e.Unchecked, name)
			}
		}
	}
}
