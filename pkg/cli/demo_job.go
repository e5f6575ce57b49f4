package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"lockstep.dev/lockstep/examples"
	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

const (
	sampleFile   = "pytorch-job-example.yaml"
	jobNameLabel = "training.kubeflow.org/job-name"
	roleLabel    = "training.kubeflow.org/replica-type"
)

// sampleJob is the job of the examples, as its file has it.
func sampleJob() (*unstructured.Unstructured, error) {
	text, err := examples.Files.ReadFile(sampleFile)
	if err != nil {
		return nil, err
	}
	job := &unstructured.Unstructured{}
	if text, err = yaml.YAMLToJSON(text); err == nil {
		err = job.UnmarshalJSON(text)
	}
	if err != nil {
		return nil, fmt.Errorf("examples/%s: %w", sampleFile, err)
	}
	return job, nil
}

// sizeOf is the number of pods that a job asks for.
func sizeOf(job *unstructured.Unstructured) int {
	roles, _, _ := unstructured.NestedMap(job.Object, "spec", "pytorchReplicaSpecs")
	size := 0
	for role := range roles {
		replicas, found, _ := unstructured.NestedInt64(job.Object, "spec", "pytorchReplicaSpecs", role, "replicas")
		if !found {
			replicas = 1
		}
		size += int(replicas)
	}
	return size
}

// trainingJob is the first act: the sample job from its YAML to Succeeded.
func (d *demo) trainingJob(ctx context.Context) (*result, error) {
	d.screen.begin("The sample job, examples/" + sampleFile + ", as it is")
	job, err := sampleJob()
	if err != nil {
		return nil, err
	}
	if _, err := d.dynamic.Resource(jobResource).Namespace(namespace).Create(ctx, job, metav1.CreateOptions{}); err != nil {
		return nil, fmt.Errorf("create PyTorchJob %s: %w", job.GetName(), err)
	}
	run := &jobRun{demo: d, name: job.GetName(), board: newBoard(job.GetName(), sizeOf(job))}
	d.screen.say("PyTorchJob %s created; it asks for %d pods with one GPU each", d.screen.name(run.name), run.board.size)
	if err := run.watch(ctx); err != nil {
		return nil, d.explain(err, run.board)
	}
	return &result{board: run.board, note: run.note()}, nil
}

// jobRun is the demo's view of the job while it runs.
type jobRun struct {
	*demo
	name  string
	board *board
	state string        // the last condition that was told
	log   chan lossSeen // the Master's log, from when it runs
	loss  lossSeen
}

// watch tells what happens until the job has succeeded.
func (r *jobRun) watch(ctx context.Context) error {
	for {
		report, err := r.next(ctx)
		if err != nil {
			return err
		}
		switch {
		case report.pod != nil && report.pod.Labels[jobNameLabel] == r.name:
			r.tellPod(ctx, report)
		case report.event != nil && report.event.Type == corev1.EventTypeWarning && report.event.InvolvedObject.Name == r.name:
			r.screen.say("%s %s: %s", r.screen.wait("warning"), report.event.Reason, report.event.Message)
		case report.job != nil && report.job.Name == r.name:
			if done, err := r.tellJob(ctx, report.job); done || err != nil {
				if r.board.ended.IsZero() { // the pods' own reports may still be on their way
					r.board.ended = report.at
				}
				return err
			}
		}
	}
}

func (r *jobRun) tellPod(ctx context.Context, report report) {
	pod, s := report.pod, r.screen
	if report.gone {
		r.board.forget(pod.Name)
		return
	}
	for _, change := range r.board.see(pod, report.at) {
		switch change {
		case memberBound:
			s.say("pod %s -> %s", s.name(pod.Name), pod.Spec.NodeName)
		case memberRunning:
			s.say("pod %s is running", s.name(pod.Name))
			if pod.Labels[roleLabel] == "master" && r.log == nil {
				r.log = r.followLog(ctx, pod)
			}
		case memberEnded:
			s.say("pod %s has %s", s.name(pod.Name), s.good("succeeded"))
		case memberFailed:
			s.say("pod %s has %s: %s", s.name(pod.Name), s.bad("failed"), failureOf(pod))
		case gangWhole:
			s.say("gang %s is %s: %d of %d pods bound, %s after the last was created", s.name(r.board.name),
				s.good("whole"), r.board.boundCount(), r.board.size, brief(r.board.bound.Sub(r.board.created)))
		case gangReason:
			s.say("gang %s %s: %s", s.name(r.board.name), s.wait("waits"), r.board.lastReason())
		case memberCreated, memberFell, memberLeaves, gangRuns, gangEnded:
		}
	}
}

// tellJob says whether the job is done. Its state is its last condition.
func (r *jobRun) tellJob(ctx context.Context, job *kubeflowv1.PyTorchJob) (done bool, err error) {
	if len(job.Status.Conditions) == 0 {
		return false, nil
	}
	last := job.Status.Conditions[len(job.Status.Conditions)-1]
	if string(last.Type) == r.state {
		return false, nil
	}
	r.state = string(last.Type)
	switch last.Type {
	case kubeflowv1.JobSucceeded:
		r.finishLog(ctx)
		r.screen.say("job %s: %s", r.screen.name(r.name), r.screen.good(r.state))
		return true, nil
	case kubeflowv1.JobFailed:
		r.finishLog(ctx)
		return true, fmt.Errorf("PyTorchJob %s failed: %s", r.name, last.Message)
	default:
		r.screen.say("job %s: %s", r.screen.name(r.name), r.state)
		return false, nil
	}
}

// lossSeen is the first and the last loss that a log tells.
type lossSeen struct {
	first, last float64
	lines       int // that tell one
}

var lossPattern = regexp.MustCompile(`(?i)\bloss[ =:]+([0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)`)

func (l *lossSeen) read(line string) {
	match := lossPattern.FindStringSubmatch(line)
	if match == nil {
		return
	}
	value, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		return
	}
	if l.lines == 0 {
		l.first = value
	}
	l.last, l.lines = value, l.lines+1
}

// followLog prints a pod's log as it is written, through the apiserver as
// "kubectl logs -f" does, and then hands over the losses in it.
func (r *jobRun) followLog(ctx context.Context, pod *corev1.Pod) chan lossSeen {
	done := make(chan lossSeen, 1)
	go func() {
		var loss lossSeen
		defer func() { done <- loss }()
		stream, err := r.core.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				r.screen.say("%s the log of pod %s cannot be read: %v", r.screen.wait("warning"), pod.Name, err)
			}
			return
		}
		defer stream.Close()
		for lines := bufio.NewScanner(stream); lines.Scan(); {
			r.screen.logLine("master", lines.Text())
			loss.read(lines.Text())
		}
	}()
	return done
}

// logGrace is how long the end of a log may lag behind the end of its pod.
const logGrace = time.Minute

// finishLog waits for the end of the Master's log.
func (r *jobRun) finishLog(ctx context.Context) {
	if r.log == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, logGrace)
	defer cancel()
	select {
	case r.loss = <-r.log:
	case <-ctx.Done():
	}
}

// note is the job's line of the summary.
func (r *jobRun) note() string {
	if r.loss.lines < 2 {
		return "succeeded"
	}
	return fmt.Sprintf("succeeded, loss %.3g -> %.3g", r.loss.first, r.loss.last)
}

// brief is a time to two digits or so.
func brief(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", max(1, d.Milliseconds()))
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}
