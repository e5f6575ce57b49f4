package cli

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// maxTold is the size of a gang beyond which its pods are not told of one by one.
const maxTold = 32

// jobWatch tells what happens to a job, from its creation to its end.
type jobWatch struct {
	*jobs
	screen *screen
	board  *board
	state  kubeflowv1.JobConditionType // the last that was told
	since  metav1.Time                 // events of an earlier job of that name are not of interest
	warned map[string]bool             // by text
}

// watch follows a job that has just been created. A job that fails is the answer no.
func (j *jobs) watch(ctx context.Context, s *screen, created *unstructured.Unstructured, sent *submission) error {
	name, effective := created.GetName(), kubeflowv1.Effective(sent.job)
	w := &jobWatch{jobs: j, screen: s, board: newBoard(name, int(floorOf(effective))),
		since: created.GetCreationTimestamp(), warned: map[string]bool{}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reports, err := follow(ctx, j.client, j.dynamic, scope{namespace: j.namespace, job: name, pods: true, events: true})
	if err == nil { // it may have gone before the watch stood
		_, err = j.get(ctx, name)
	}
	for err == nil {
		select {
		case r := <-reports:
			var done bool
			if done, err = w.tell(r); done {
				return err
			}
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w; %s goes on, and lockstep wait %s -n %s waits for it", err, j.name(name), name, j.namespace)
	}
	return err
}

// floorOf is the number of pods that a job starts with, all or none.
func floorOf(effective *kubeflowv1.PyTorchJob) int32 {
	all := kubeflowv1.Pods(effective)
	if policy := effective.Spec.RunPolicy.SchedulingPolicy; policy != nil && policy.MinAvailable != nil {
		return min(*policy.MinAvailable, all)
	}
	if elastic := effective.Spec.ElasticPolicy; elastic != nil && elastic.MinReplicas != nil {
		return all - *effective.Spec.PyTorchReplicaSpecs[kubeflowv1.Worker].Replicas + *elastic.MinReplicas
	}
	return all
}

// tell prints what is new in a report; done says that the job has ended.
func (w *jobWatch) tell(r report) (done bool, err error) {
	switch {
	case r.err != nil:
		return true, r.err
	case r.pod != nil && r.gone:
		w.tellPod(r.pod, w.board.forget(r.pod.Name))
	case r.pod != nil:
		w.tellPod(r.pod, w.board.see(r.pod, r.at))
	case r.event != nil && !r.gone:
		w.tellEvent(r.event)
	case r.job != nil && r.gone:
		return true, fmt.Errorf("%s was deleted", w.name(r.job.Name))
	case r.job != nil:
		return w.tellJob(r.job)
	}
	return false, nil
}

func (w *jobWatch) tellEvent(event *corev1.Event) {
	text := event.Reason + ": " + printable(event.Message)
	if event.Type == corev1.EventTypeWarning && !event.CreationTimestamp.Before(&w.since) && !w.warned[text] {
		w.warned[text] = true
		w.screen.say("%s %s", w.screen.wait("warning"), text)
	}
}

func (w *jobWatch) tellPod(pod *corev1.Pod, changes []news) {
	s := w.screen
	for _, change := range changes {
		switch change {
		case gangWhole:
			s.say("gang %s has its %s: %d of %d pods are bound", s.name(w.board.name), s.good("place"), w.board.boundCount(), w.board.size)
		case gangReason:
			s.say("gang %s %s: %s", s.name(w.board.name), s.wait("waits"), printable(w.board.lastReason()))
		case memberFailed:
			s.say("pod %s has %s: %s", s.name(pod.Name), s.bad("failed"), printable(failureOf(pod)))
		case memberFell:
			_, how := fall(pod)
			s.say("pod %s has %s: %s", s.name(pod.Name), s.bad("failed"), printable(how))
		case memberBound:
			w.tellMember("pod %s -> %s", s.name(pod.Name), pod.Spec.NodeName)
		case memberRunning:
			w.tellMember("pod %s is running", s.name(pod.Name))
		case memberEnded:
			w.tellMember("pod %s has %s", s.name(pod.Name), s.good("succeeded"))
		case memberLeaves:
			w.tellMember("pod %s is %s", s.name(pod.Name), s.wait("taken away"))
		case memberCreated, gangRuns, gangEnded:
		}
	}
}

func (w *jobWatch) tellMember(format string, args ...any) {
	if w.board.size <= maxTold {
		w.screen.say(format, args...)
	}
}

// tellJob says the job's state when it is another than before.
func (w *jobWatch) tellJob(job *kubeflowv1.PyTorchJob) (done bool, err error) {
	state, s := stateOf(job), w.screen
	if state.Type == w.state || state.Type == "" {
		return false, nil
	}
	w.state = state.Type
	text := fmt.Sprintf("job %s: ", s.name(job.Name))
	switch state.Type {
	case kubeflowv1.JobSucceeded:
		s.say("%s%s", text, s.good(string(state.Type)))
		return true, nil
	case kubeflowv1.JobFailed, kubeflowv1.JobInvalid:
		s.say("%s%s: %s", text, s.bad(string(state.Type)), printable(state.Message))
		return true, errNo
	case kubeflowv1.JobCreated, kubeflowv1.JobRunning:
		s.say("%s%s", text, state.Type)
	default:
		s.say("%s%s: %s", text, s.wait(string(state.Type)), printable(state.Message))
	}
	return false, nil
}
