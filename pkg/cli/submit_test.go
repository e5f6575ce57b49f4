package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Scripts as in TestVerbsOnManifests: files are declared, then submit runs on them and on flags.
func TestSubmitBeforeAnythingIsSent(t *testing.T) {
	datadriven.Walk(t, "testdata/submit", func(t *testing.T, path string) {
		dir := t.TempDir()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "file":
				var name string
				d.ScanArgs(t, "name", &name)
				writeFile(t, dir, name, d.Input)
				return ""
			case "run":
				return runLines(dir, d.Input)
			}
			d.Fatalf(t, "unknown directive %s", d.Cmd)
			return ""
		})
	})
}

func TestSubmitSendsTheJob(t *testing.T) {
	a := newAPIServer(t)
	code, out, errOut := a.invoke("submit", "mnist", "--image", "train:1", "--workers", "2", "--", "python", "train.py")
	if code != exitYes || out != "pytorchjob team-a/mnist created\n" || errOut != "" {
		t.Fatalf("exit code %d, output %q, error %q", code, out, errOut)
	}
	a.mu.Lock()
	replicas, _, _ := unstructured.NestedInt64(a.objects()["PyTorchJob/mnist"].Object, "spec", "pytorchReplicaSpecs", "Worker", "replicas")
	a.mu.Unlock()
	if replicas != 2 {
		t.Errorf("%d Workers", replicas)
	}
	code, _, errOut = a.invoke("submit", "mnist", "--image", "train:1")
	if want := "pytorchjob team-a/mnist exists already: give this one another name, or kubectl delete pytorchjob mnist -n team-a"; code != exitError ||
		!strings.Contains(errOut, want) {
		t.Errorf("exit code %d, error %q; want %q", code, errOut, want)
	}
	if code, out, _ := a.invoke("submit", "other", "--image", "train:1", "-o", "json"); code != exitYes || !strings.Contains(out, `"uid"`) {
		t.Errorf("exit code %d, output %q; want the job as the apiserver has it", code, out)
	}
}

func TestSubmitFollowsTheJobToItsEnd(t *testing.T) {
	type step struct {
		after string // this has been told
		do    func(*apiserver)
	}
	for _, test := range []struct {
		name  string
		steps []step
		code  int
		out   string // the last of it
		err   string
	}{
		{"it succeeds", []step{
			{"pytorchjob team-a/mnist created\n", func(a *apiserver) {
				pod := jobPod("master", 0, 0, "")
				pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
					Message: "0/4 nodes are available: no rack has 3 free GPUs"}}
				a.put(pod)
			}},
			{"gang mnist waits: no rack has 3 free GPUs\n", func(a *apiserver) {
				for _, pod := range []*corev1.Pod{jobPod("master", 0, 0, "Running"), jobPod("worker", 0, 0, ""), jobPod("worker", 1, 0, "")} {
					pod.Spec.NodeName = "node-1"
					a.put(pod)
				}
			}},
			{"gang mnist has its place: 3 of 3 pods are bound\n", func(a *apiserver) { a.put(mnist("Running", "It runs.")) }},
			{"job mnist: Running\n", func(a *apiserver) { a.put(mnist("Succeeded", "It is done.")) }},
		}, exitYes, "job mnist: Succeeded\n", ""},
		{"it fails", []step{
			{"created\n", func(a *apiserver) { a.put(mnist("Failed", "It ran into a wall.")) }},
		}, exitNo, "job mnist: Failed: It ran into a wall.\n", ""},
		{"its programs fail and start again", []step{
			{"created\n", func(a *apiserver) { a.put(fallen(jobPod("worker", 0, 0, "Running"), 3)) }},
			{"pod mnist-worker-0 has failed: exit code 3: no data\n", func(a *apiserver) {
				a.put(fallen(jobPod("worker", 0, 1, "Running"), 3)) // the same end, seen again
				a.put(fallen(jobPod("worker", 0, 1, "Running"), 4))
			}},
			{"pod mnist-worker-0 has failed: exit code 4: no data\n", func(a *apiserver) { a.put(mnist("Failed", "It ran into a wall.")) }},
		}, exitNo, "job mnist: Failed: It ran into a wall.\n", ""},
		{"it shrinks", []step{
			{"created\n", func(a *apiserver) { a.put(jobPod("worker", 0, 0, "Running")) }},
			{"pod mnist-worker-0 is running\n", func(a *apiserver) {
				going := jobPod("worker", 0, 0, "Running")
				going.DeletionTimestamp = &metav1.Time{Time: logStart}
				a.put(going)
			}},
			{"pod mnist-worker-0 is taken away\n", func(a *apiserver) { a.delete("Pod", "mnist-worker-0") }},
			{"taken away\n", func(a *apiserver) { a.put(mnist("Succeeded", "It is done.")) }},
		}, exitYes, "job mnist: Succeeded\n", ""},
		{"it is warned of and deleted", []step{
			{"created\n", func(a *apiserver) {
				a.put(warning("old", "Old", metav1.NewTime(logStart)))
				a.put(warning("new", "New", metav1.Now()))
				a.put(warning("newer", "New", metav1.Now()))
			}},
			{"warning New: what\n", func(a *apiserver) { a.delete("PyTorchJob", "mnist") }},
		}, exitError, "warning New: what\n", "pytorchjob team-a/mnist was deleted\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := newAPIServer(t)
			f := a.start("submit", "mnist", "--image", "train:1", "--workers", "2", "--watch")
			for _, step := range test.steps {
				f.until(step.after)
				a.await(func() bool { return a.watches == 3 }) // of the job, its pods and its events
				step.do(a)
			}
			f.end(test.code)
			if out, err := f.out.String(), f.err.String(); !strings.HasSuffix(out, test.out) || !strings.HasSuffix(err, test.err) {
				t.Errorf("output %q, error %q; want %q, %q at their end", out, err, test.out, test.err)
			}
			if strings.Contains(f.out.String(), "Old") || strings.Count(f.out.String(), "warning") > 1 {
				t.Errorf("warnings of before, or more than once: %q", f.out.String())
			}
			for _, once := range []string{"exit code 3", "taken away"} {
				if strings.Count(f.out.String(), once) > 1 {
					t.Errorf("%q is told more than once: %q", once, f.out.String())
				}
			}
		})
	}
}

// fallen is the pod after its program has ended with an exit code.
func fallen(pod *corev1.Pod, code int32) *corev1.Pod {
	pod.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
		ContainerID: fmt.Sprintf("attempt://%d", code), ExitCode: code, Reason: "Error", Message: "no data",
	}
	return pod
}

// warning is an event about mnist.
func warning(name, reason string, created metav1.Time) *corev1.Event {
	return &corev1.Event{
		TypeMeta:       metav1.TypeMeta{APIVersion: "v1", Kind: "Event"},
		ObjectMeta:     metav1.ObjectMeta{Name: name, Namespace: "team-a", CreationTimestamp: created},
		InvolvedObject: corev1.ObjectReference{Name: "mnist"},
		Type:           corev1.EventTypeWarning, Reason: reason, Message: "what",
	}
}
