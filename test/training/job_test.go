package training

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"lockstep.dev/lockstep/examples"
	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/controller"
)

// patience is how long what must come may take; a busy machine needs much of it to load torch.
const patience = 3 * time.Minute

// marker is in the environment of all processes of a job, for the test to know them by.
const marker = "LOCKSTEP_TRAINING_TEST"

// training is one job that runs.
type training struct {
	t    *testing.T
	name string
	mark string
	// said is what its pods have said so far, by pod and attempt; pods go with their logs.
	said map[string]string
	// ended is when an epoch was first seen to have ended, by its number.
	ended map[int]time.Time
}

// start creates the first job of an example, changed, under a name of its own.
func start(t *testing.T, example string, change func(*v1.PyTorchJob)) *training {
	t.Helper()
	text, err := examples.Files.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	job := &v1.PyTorchJob{}
	if err := yaml.UnmarshalStrict(text, job); err != nil {
		t.Fatal(err)
	}
	job.Namespace = "default"
	change(job)
	tr := &training{t: t, name: job.Name, mark: fmt.Sprintf("%s=%d-%s", marker, os.Getpid(), job.Name), said: map[string]string{}, ended: map[int]time.Time{}}
	for _, replicas := range job.Spec.PyTorchReplicaSpecs {
		c := v1.Trainer(&replicas.Template.Spec)
		c.Env = append(c.Env, corev1.EnvVar{Name: marker, Value: strings.TrimPrefix(tr.mark, marker+"=")})
	}
	if err := env.client.Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", tr.name, tr.text())
		}
		_ = env.client.Delete(context.Background(), job)
	})
	return tr
}

// enough ends the training after the epoch that runs.
func (tr *training) enough() {
	tr.t.Helper()
	word := filepath.Join(env.workspace, tr.name+"-enough")
	if err := os.WriteFile(word, nil, 0o644); err != nil { //nolint:gosec // pods run as another user
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() { _ = os.Remove(word) }) // with -count the next job has the same name
}

func (tr *training) job() *v1.PyTorchJob {
	tr.t.Helper()
	job := &v1.PyTorchJob{}
	if err := env.client.Get(tr.t.Context(), client.ObjectKey{Namespace: "default", Name: tr.name}, job); err != nil {
		tr.t.Fatal(err)
	}
	return job
}

// scale is what "kubectl scale" does.
func (tr *training) scale(workers int32) {
	tr.t.Helper()
	before := tr.job()
	after := before.DeepCopy()
	after.Spec.PyTorchReplicaSpecs[v1.Worker].Replicas = &workers
	if err := env.client.Patch(tr.t.Context(), after, client.MergeFrom(before)); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *training) pods() []corev1.Pod {
	tr.t.Helper()
	pods := &corev1.PodList{}
	if err := env.client.List(tr.t.Context(), pods, client.InNamespace("default"), client.MatchingLabels{controller.LabelJobName: tr.name}); err != nil {
		tr.t.Fatal(err)
	}
	return pods.Items
}

// listen takes down what the job's pods have said.
func (tr *training) listen() {
	for _, pod := range tr.pods() {
		restarts := int32(0)
		for _, status := range pod.Status.ContainerStatuses {
			restarts = status.RestartCount
		}
		for attempt := max(0, restarts-1); attempt <= restarts; attempt++ {
			options := &corev1.PodLogOptions{Container: v1.ContainerName, Previous: attempt < restarts}
			text, err := env.logs.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).DoRaw(tr.t.Context())
			if key := fmt.Sprintf("%s %s %d", pod.Name, pod.UID, attempt); err == nil && len(text) > len(tr.said[key]) {
				tr.said[key] = string(text)
			}
		}
	}
}

func (tr *training) text() string {
	var all strings.Builder
	for key, text := range tr.said {
		fmt.Fprintf(&all, "--- %s\n%s\n", key, text)
	}
	return all.String()
}

func (tr *training) await(what string, done func() bool) {
	tr.t.Helper()
	err := wait.PollUntilContextTimeout(tr.t.Context(), 100*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		tr.listen()
		return done(), nil
	})
	if err != nil {
		tr.t.Fatalf("%s: %s did not come; the job: %+v", tr.name, what, tr.job().Status.Conditions)
	}
}

// epoch is one line about an epoch that has ended.
type epoch struct {
	number, step, ranks int
	loss                float64
}

var epochLine = regexp.MustCompile(`epoch (\d+)/\d+  step (\d+)  loss ([0-9.]+)  ranks (\d+) `)

func (tr *training) epochs() []epoch {
	var list []epoch
	for _, found := range epochLine.FindAllStringSubmatch(tr.text(), -1) {
		e := epoch{}
		e.number, _ = strconv.Atoi(found[1])
		e.step, _ = strconv.Atoi(found[2])
		e.loss, _ = strconv.ParseFloat(found[3], 64)
		e.ranks, _ = strconv.Atoi(found[4])
		list = append(list, e)
	}
	return list
}

// awaitEpoch waits until so many ranks have ended an epoch after the given one, and returns it.
func (tr *training) awaitEpoch(after, ranks int) int {
	tr.t.Helper()
	begin, reached := time.Now(), 0
	tr.await(fmt.Sprintf("an epoch after %d with %d ranks", after, ranks), func() bool {
		for _, e := range tr.epochs() {
			if tr.ended[e.number].IsZero() {
				tr.ended[e.number] = time.Now()
			}
		}
		for _, e := range tr.epochs() {
			if e.number > after && e.ranks == ranks {
				reached = e.number
				return true
			}
		}
		return false
	})
	gap := time.Duration(0)
	if before := tr.ended[reached-1]; !before.IsZero() {
		gap = tr.ended[reached].Sub(before)
	}
	tr.t.Logf("%s: %d ranks ended epoch %d after %.1fs, %.1fs after the epoch before", tr.name, ranks, reached,
		time.Since(begin).Seconds(), gap.Seconds())
	return reached
}

// kill ends the program of a pod by SIGKILL, as the kernel does when memory runs out.
func (tr *training) kill(pod string) {
	tr.t.Helper()
	environments, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		tr.t.Fatal(err)
	}
	killed := 0
	for _, file := range environments {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		variables := bytes.Split(text, []byte{0})
		if !contains(variables, tr.mark) || !contains(variables, "HOSTNAME="+tr.name+"-"+pod) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	if killed == 0 {
		tr.t.Fatalf("no process of %s-%s was found", tr.name, pod)
	}
}

func contains(variables [][]byte, want string) bool {
	for _, variable := range variables {
		if string(variable) == want {
			return true
		}
	}
	return false
}

// succeed waits for the end of the job, and looks at its log as a whole.
func (tr *training) succeed() {
	tr.t.Helper()
	tr.await("success", func() bool {
		conditions := tr.job().Status.Conditions
		return len(conditions) > 0 && conditions[len(conditions)-1].Type == v1.JobSucceeded
	})
	tr.listen()
	epochs := tr.epochs()
	first, last := epochs[0], epochs[0]
	for _, e := range epochs {
		if e.step != 25*e.number {
			tr.t.Errorf("epoch %d ends at step %d: steps do not go on", e.number, e.step)
		}
		if e.number < first.number {
			first = e
		}
		if e.number > last.number {
			last = e
		}
	}
	if !(last.loss < first.loss) {
		tr.t.Errorf("loss went from %v to %v", first.loss, last.loss)
	}
	if n := strings.Count(tr.text(), "epoch 1/"); n > 1 {
		tr.t.Errorf("training began anew %d times", n-1)
	}
	if !strings.Contains(tr.text(), "resumed from the checkpoint after epoch") {
		tr.t.Error("nothing was resumed")
	}
	tr.t.Logf("%s: %d epochs, loss %.4f to %.4f", tr.name, last.number, first.loss, last.loss)
}
