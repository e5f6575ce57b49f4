package cli

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// mnist is a job of a Master and two Workers in a state; no state: nobody has seen it.
func mnist(state kubeflowv1.JobConditionType, message string) *kubeflowv1.PyTorchJob {
	two := int32(2)
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "pytorch", Image: "train:1"}}}}
	job := &kubeflowv1.PyTorchJob{ObjectMeta: metav1.ObjectMeta{Name: "mnist", Namespace: "team-a"}}
	job.SetGroupVersionKind(kubeflowv1.GroupVersionKind)
	job.Spec.PyTorchReplicaSpecs = map[kubeflowv1.ReplicaType]*kubeflowv1.ReplicaSpec{
		kubeflowv1.Master: {Template: template}, kubeflowv1.Worker: {Replicas: &two, Template: template},
	}
	if state != "" {
		job.Status.Conditions = []kubeflowv1.JobCondition{{Type: state, Status: corev1.ConditionTrue, Message: message}}
	}
	return job
}

// waitingGang is the PodGroup of mnist with the scheduler's reason on it.
func waitingGang(reason string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "scheduling.x-k8s.io/v1alpha1", "kind": "PodGroup", "metadata": map[string]any{"name": "mnist", "namespace": "team-a"},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Scheduled", "status": "False", "message": reason}}},
	}}
}

func TestWaitAnswersByItsExitCode(t *testing.T) {
	const gone = "deleted" // a state of none that the API has
	for _, test := range []struct {
		name   string
		states []kubeflowv1.JobConditionType // one after another
		args   string
		code   int
		out    string
	}{
		{"it has succeeded", states("Succeeded"), "", exitYes, "pytorchjob team-a/mnist Succeeded: why\n"},
		{"it comes to succeed", states("", "Created", "Running", "Succeeded"), "--timeout 0", exitYes, "Succeeded: why"},
		{"it fails", states("Created", "Running", "Failed"), "", exitNo, "pytorchjob team-a/mnist Failed: why\n"},
		{"it cannot be run", states("Created", "Invalid"), "--for Running", exitNo, "Invalid: why"},
		{"it is deleted", states("Running", gone), "--for succeeded", exitNo, "is deleted"},
		{"it runs", states("Created", "Running"), "--for Running", exitYes, "Running: why"},
		{"it has run", states("Succeeded"), "--for Running", exitYes, "Succeeded: why"},
		{"it fails before it runs", states("Created", "Failed"), "--for Running", exitNo, "Failed: why"},
		{"it fails as expected", states("Restarting", "Failed"), "--for Failed", exitYes, "Failed: why"},
		{"it succeeds against expectation", states("Running", "Succeeded"), "--for Failed", exitNo, "Succeeded: why"},
		{"it goes", states("Running", "Failed", gone), "--for Deleted", exitYes, "is deleted"},
		{"it has gone", states(gone), "--for Deleted", exitYes, "is deleted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := newAPIServer(t)
			apply := func(state kubeflowv1.JobConditionType) {
				if state == gone {
					a.delete("PyTorchJob", "mnist")
				} else {
					a.put(mnist(state, "why"))
				}
			}
			apply(test.states[0])
			go func() {
				a.await(func() bool { return a.watches > 0 })
				for _, state := range test.states[1:] {
					apply(state)
				}
			}()
			code, out, errOut := a.invoke(append([]string{"wait", "mnist"}, strings.Fields(test.args)...)...)
			if code != test.code || !strings.Contains(out, test.out) || errOut != "" {
				t.Errorf("exit code %d, output %q, error %q; want %d, %q", code, out, errOut, test.code, test.out)
			}
		})
	}
}

func states(list ...kubeflowv1.JobConditionType) []kubeflowv1.JobConditionType { return list }

func TestWaitSaysWhyNot(t *testing.T) {
	a := newAPIServer(t)
	expect := func(want string, args ...string) {
		t.Helper()
		code, out, errOut := a.invoke(args...)
		if code != exitError || out != "" || !strings.Contains(errOut, want) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%q: exit code %d, output %q, error %q; want %q", args, code, out, errOut, want)
		}
	}
	expect("pytorchjob team-a/mnist: does not exist", "wait", "mnist")
	expect("pytorchjob team-b/mnist: the cluster does not know pytorchjobs.kubeflow.org: install", "wait", "mnist", "-n", "team-b")
	expect("--for=Done: is none of Succeeded, Running, Failed, Deleted", "wait", "mnist", "--for", "Done")
	a.put(mnist("", ""))
	expect("not Succeeded after 1ms: no controller has taken it up", "wait", "mnist", "--timeout", "1ms")
	a.put(mnist("Created", "PyTorchJob mnist is created."))
	a.put(waitingGang("rack-0 has 2 of 3 GPUs"))
	expect("not Running after 300ms: is Created: PyTorchJob mnist is created; its gang waits: rack-0 has 2 of 3 GPUs",
		"wait", "mnist", "--for", "Running", "--timeout", "300ms")
	held := mnist("Running", "PyTorchJob mnist is running.")
	held.Status.Conditions = append([]kubeflowv1.JobCondition{{Type: kubeflowv1.JobSidecarRuns, Status: corev1.ConditionTrue,
		Message: "pod mnist-master-0: container pytorch has exited with code 0 and logger runs on"}}, held.Status.Conditions...)
	a.put(held)
	expect("PyTorchJob mnist is running; pod mnist-master-0: container pytorch has exited with code 0 and logger runs on",
		"wait", "mnist", "--timeout", "300ms")
	a.do(func() { a.refuses = "pytorchjobs" })
	expect("you may not", "wait", "mnist")
}

func TestJobNamesAreCompleted(t *testing.T) {
	a := newAPIServer(t)
	a.put(mnist("Running", ""))
	for _, verb := range []string{"wait", "logs"} {
		_, out, _ := invoke("__complete", verb, "--kubeconfig", a.kubeconfig, "")
		if !strings.HasPrefix(out, "mnist\n") {
			t.Errorf("%s: %q", verb, out)
		}
	}
}
