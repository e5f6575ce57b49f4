package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kubeflowv1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

func TestLogsAsTheyAreNow(t *testing.T) {
	a := newAPIServer(t)
	a.put(mnist("Running", "PyTorchJob mnist is running."))
	a.put(jobPod("worker", 1, 0, ""))
	a.put(jobPod("worker", 0, 1, "Running"))
	a.put(jobPod("master", 0, 0, "Succeeded"))
	a.do(func() {
		a.logs["mnist-master-0"] = &containerLog{lines: []string{"loss 2", "loss 1"}, ended: true}
		a.logs["mnist-worker-0"] = &containerLog{lines: []string{"hello", strings.Repeat("x", maxLine+1)}}
		a.logs["mnist-worker-0/previous"] = &containerLog{lines: []string{"boom"}, ended: true}
	})
	pending := "no log yet: it is Pending: the job is Running: PyTorchJob mnist is running."
	for _, test := range []struct {
		args, out, errOut string
		code              int
	}{
		{"", "loss 2\nloss 1\n", "", exitYes},
		{"--tail 1", "loss 1\n", "", exitYes},
		{"--all-ranks", "[0] loss 2\n[0] loss 1\n[1] hello\n[1] " + strings.Repeat("x", maxLine) + "\n[1] x\n",
			"note: [2] pod team-a/mnist-worker-1 has " + pending + "\n", exitYes},
		{"--rank 1 --previous", "boom\n", "", exitYes},
		{"--previous", "", "lockstep logs: the log of pod team-a/mnist-master-0 cannot be read: no log of mnist-master-0/previous\n", exitError},
		{"--rank 2", "", "lockstep logs: pod team-a/mnist-worker-1 has " + pending + "\n", exitError},
		{"--rank 3", "", "lockstep logs: --rank=3: pytorchjob team-a/mnist has ranks 0 to 2\n", exitError},
		{"--rank 1 --all-ranks", "", "lockstep logs: --rank: leave it out, --all-ranks prints every rank\n", exitError},
		{"--previous -f", "", "lockstep logs: --previous: a container that has ended writes no more; leave --follow out\n", exitError},
		{"-c side", "", "lockstep logs: --container=side: pod team-a/mnist-master-0 has pytorch, init-pytorch\n", exitError},
		{"-c side -f", "", "lockstep logs: --container=side: pod team-a/mnist-master-0 has pytorch, init-pytorch\n", exitError},
		{"--tail -2", "", "lockstep logs: --tail=-2: must be 0 or more, or -1 for all lines\n", exitError},
	} {
		code, out, errOut := a.invoke(append([]string{"logs", "mnist"}, strings.Fields(test.args)...)...)
		if code != test.code || out != test.out || errOut != test.errOut {
			t.Errorf("%s: exit code %d, output %.200q, error %q; want %d, %.200q, %q", test.args, code, out, errOut, test.code, test.out, test.errOut)
		}
	}
}

// TestLogsOfFakeNodes: of pods that only seem to run there is no log, and that is said in these words.
func TestLogsOfFakeNodes(t *testing.T) {
	a := newAPIServer(t)
	a.put(mnist("Running", "PyTorchJob mnist is running."))
	a.put(&corev1.Node{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
		ObjectMeta: metav1.ObjectMeta{Name: "node-0000", Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"}}})
	pod := jobPod("master", 0, 0, "Running")
	pod.Spec.NodeName = "node-0000"
	a.put(pod)
	const want = "lockstep logs: the log of pod team-a/mnist-master-0 cannot be read: its node node-0000 is a fake one, on which nothing runs\n"
	if code, out, errOut := a.invoke("logs", "mnist"); code != exitError || out != "" || errOut != want {
		t.Errorf("exit code %d, output %q, error %q; want %q", code, out, errOut, want)
	}
}

// TestJobsByTheirKind: what kubectl prints is a name as well. Of ranks whose pods are gone that is said.
func TestJobsByTheirKind(t *testing.T) {
	a := newAPIServer(t)
	a.put(mnist("Succeeded", "It is done."))
	a.put(jobPod("master", 0, 0, "Succeeded"))
	a.do(func() { a.logs["mnist-master-0"] = &containerLog{lines: []string{"loss"}, ended: true} })
	for _, test := range []struct{ args, out, errOut string }{
		{"logs pytorchjob/mnist", "loss\n", ""},
		{"logs mnist --all-ranks", "[0] loss\n",
			"note: 2 of 3 ranks have no pod any more, and no log: they were deleted when or after the job ended (cleanPodPolicy)\n"},
		{"wait pytorchjobs.kubeflow.org/mnist", "pytorchjob team-a/mnist Succeeded: It is done.\n", ""},
		{"logs pod/mnist-master-0", "", "lockstep logs: \"pod/mnist-master-0\": is a pod, not a pytorchjob\n"},
		{"wait job/mnist", "", "lockstep wait: \"job/mnist\": the kind is none of podgroup, pytorchjob, pod\n"},
		{"explain mnist", "pytorchjob team-a/mnist is Succeeded: It is done.\n", ""},
		{"explain pytorchjob/mnist", "pytorchjob team-a/mnist is Succeeded: It is done.\n", ""},
		{"explain pytorchjob/other", "", "lockstep explain: pytorchjob team-a/other: does not exist\n"},
	} {
		if _, out, errOut := a.invoke(strings.Fields(test.args)...); out != test.out || errOut != test.errOut {
			t.Errorf("%s: output %q, error %q; want %q, %q", test.args, out, errOut, test.out, test.errOut)
		}
	}
}

// TestExplainAJobWithoutAGang: why it has none stands on the job.
func TestExplainAJobWithoutAGang(t *testing.T) {
	a := newAPIServer(t)
	a.put(mnist("Created", "It is created."))
	const says = "is Created: It is created."
	for args, want := range map[string]string{
		"explain mnist":            "pytorchjob team-a/mnist " + says + "\n",
		"explain pytorchjob/mnist": "pytorchjob team-a/mnist " + says + "\n",
		"explain mnist -o json": `{
  "namespace": "team-a",
  "name": "mnist",
  "state": "Created",
  "message": "` + says + `"
}
`,
	} {
		if code, out, errOut := a.invoke(strings.Fields(args)...); code != exitYes || out != want || errOut != "" {
			t.Errorf("%s: exit code %d, output %q, error %q; want %q", args, code, out, errOut, want)
		}
	}
}

// TestExplainTheSize: of a job that the cluster's recommender sizes explain says what it decided.
func TestExplainTheSize(t *testing.T) {
	job := mnist("Autoscaled", "stays at 2 Workers: it grows to 4 right after its next checkpoint")
	job.Status.Conditions = append(job.Status.Conditions, kubeflowv1.JobCondition{Type: kubeflowv1.JobRunning, Status: corev1.ConditionTrue})
	job.Status.Progress = &kubeflowv1.Progress{Checkpoint: &kubeflowv1.Checkpoint{
		Last: metav1.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), EverySeconds: 300,
	}}
	const says = "  stays at 2 Workers: it grows to 4 right after its next checkpoint; its last checkpoint is of 2026-01-01T12:00:00Z, one every 5m0s\n"
	var b strings.Builder
	printExplanation(newScreen(&b, time.Now), explanation{Size: sizeStanding(job, time.Now())})
	if !strings.Contains(b.String(), says) {
		t.Errorf("%s; want %q", b.String(), says)
	}
}

// TestExplainAnotherSize: where other than the asked number of Workers runs explain says why, in the controller's
// words or, of a cool-down, in its own.
func TestExplainAnotherSize(t *testing.T) {
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	job := mnist("Running", "It runs.")
	job.Annotations = map[string]string{kubeflowv1.AnnotationResizeCooldown: "10m"}
	job.Spec.ElasticPolicy = &kubeflowv1.ElasticPolicy{}
	job.Spec.PyTorchReplicaSpecs = map[kubeflowv1.ReplicaType]*kubeflowv1.ReplicaSpec{kubeflowv1.Worker: {Replicas: new(int32(4))}}
	job.Status.Progress = &kubeflowv1.Progress{Workers: new(int32(8)), LastResize: &metav1.Time{Time: start}}
	for minutes, want := range map[int]string{
		9:  "Worker.replicas is 4: 8 are run until 2026-01-01T12:10:00Z, as the size changes at most once in 10m0s (lockstep.dev/resize-cooldown)",
		10: "",
	} {
		if got := sizeStanding(job, start.Add(time.Duration(minutes)*time.Minute)); got != want {
			t.Errorf("after %d minutes: %q, want %q", minutes, got, want)
		}
	}
	job.Status.Conditions = append([]kubeflowv1.JobCondition{
		{Type: "ScaleClamped", Status: corev1.ConditionTrue, Message: "8 are enough"}}, job.Status.Conditions...)
	if got := sizeStanding(job, start); got != "8 are enough" {
		t.Errorf("what the controller says is left out: %q", got)
	}
}

// TestExplainMachines: while a gang waits, what has become of the machines that were asked for it is said.
func TestExplainMachines(t *testing.T) {
	a := newAPIServer(t)
	job := mnist("Created", "It is created.")
	job.Status.Conditions = append([]kubeflowv1.JobCondition{
		{Type: "Provisioned", Status: corev1.ConditionFalse, Message: "Failed is True: no capacity"}}, job.Status.Conditions...)
	a.put(job)
	pod := jobPod("master", 0, 0, "")
	pod.Labels["scheduling.x-k8s.io/pod-group"], pod.Spec.SchedulerName = "mnist", "lockstep"
	a.put(pod)
	a.put(waitingGang("no room"))
	a.do(func() { a.refuses = "/api/v1/pods" }) // those of all namespaces, so that this one's are asked for
	if _, out, errOut := a.invoke("explain", "mnist"); !strings.Contains(out, "\n  Failed is True: no capacity\n") {
		t.Errorf("output %q, error %q", out, errOut)
	}
	if _, _, errOut := a.invoke("wait", "mnist", "--timeout", "1ms"); !strings.HasSuffix(errOut, "its gang waits: no room; Failed is True: no capacity\n") {
		t.Errorf("error %q", errOut)
	}
}

// TestExplainAGangWithItsJob: what the controller could not make of the job stands beside what its gang lacks; of
// one that is over nothing else is said, whatever there is left of it.
func TestExplainAGangWithItsJob(t *testing.T) {
	a := newAPIServer(t)
	job := mnist("Created", "It is created.")
	job.Status.Conditions = append([]kubeflowv1.JobCondition{
		{Type: kubeflowv1.JobCreateFailed, Status: corev1.ConditionTrue, Message: "exceeded quota: ten-pods"},
	}, job.Status.Conditions...)
	a.put(job)
	pod := jobPod("master", 0, 0, "")
	pod.Labels["scheduling.x-k8s.io/pod-group"], pod.Spec.SchedulerName = "mnist", "lockstep"
	a.put(pod)
	a.do(func() { a.refuses = "/api/v1/pods" }) // those of all namespaces, so that this one's are asked for
	if _, out, errOut := a.invoke("explain", "mnist"); !strings.Contains(out, "\n  its job: exceeded quota: ten-pods\n") {
		t.Errorf("output %q, error %q", out, errOut)
	}
	if _, out, errOut := a.invoke("explain", "mnist", "-o", "json"); !strings.Contains(out, `"trouble": "exceeded quota: ten-pods"`) {
		t.Errorf("output %q, error %q", out, errOut)
	}
	a.put(mnist("Succeeded", "It is done."))
	if _, out, errOut := a.invoke("explain", "mnist", "-o", "json"); !strings.Contains(out, `"state": "Succeeded"`) {
		t.Errorf("output %q, error %q", out, errOut)
	}
}

// TestFollowedLogsSayWhyThereAreNone: all ranks wait for room.
func TestFollowedLogsSayWhyThereAreNone(t *testing.T) {
	t.Parallel()
	a := newAPIServer(t)
	a.put(mnist("Created", "It is created."))
	a.put(waitingGang("rack-0 has 2 of 3 GPUs"))
	a.put(jobPod("master", 0, 0, ""))
	a.put(jobPod("worker", 0, 0, ""))
	f := a.start("logs", "mnist", "-f", "--all-ranks")
	f.until("note: pod mnist-master-0 has no log yet: the job is Created: It is created; its gang waits: rack-0 has 2 of 3 GPUs")
	a.put(mnist("Failed", "It is over."))
	f.end(exitYes)
}

func TestLogsOfAJobWithoutPodsSayWhy(t *testing.T) {
	for _, test := range []struct {
		set  func(*apiserver)
		want string
	}{
		{func(*apiserver) {}, "pytorchjob team-a/mnist: does not exist"},
		{func(a *apiserver) { a.put(mnist("", "")) }, "has no pods yet: no controller has taken it up"},
		{func(a *apiserver) {
			job := mnist("", "")
			job.Spec.RunPolicy.ManagedBy = new(kubeflowv1.ManagedByMultiKueue)
			a.put(job)
		}, "has no pods yet: is left to kueue.x-k8s.io/multikueue by spec.runPolicy.managedBy"},
		{func(a *apiserver) { a.put(mnist("Suspended", "It is suspended.")) }, "has no pods yet: it is Suspended: It is suspended."},
		{func(a *apiserver) {
			a.put(mnist("Created", "It is created."))
			a.put(waitingGang("0 of 3 members exist"))
		}, "has no pods yet: it is Created: It is created; its gang waits: 0 of 3 members exist"},
		{func(a *apiserver) { a.put(mnist("Succeeded", "It is done.")) }, "has no pods any more"},
	} {
		a := newAPIServer(t)
		test.set(a)
		code, out, errOut := a.invoke("logs", "mnist")
		if code != exitError || out != "" || !strings.Contains(errOut, test.want) {
			t.Errorf("exit code %d, output %q, error %q; want %q", code, out, errOut, test.want)
		}
	}
}

func (a *apiserver) write(name string, lines ...string) {
	a.do(func() {
		if a.logs[name] == nil {
			a.logs[name] = &containerLog{}
		}
		a.logs[name].lines = append(a.logs[name].lines, lines...)
	})
}

func TestLogsAreFollowedUntilTheJobHasEnded(t *testing.T) {
	t.Parallel()
	a := newAPIServer(t)
	a.put(mnist("Created", "It is created."))
	f := a.start("logs", "mnist", "-f", "--all-ranks")
	f.until("note: pytorchjob team-a/mnist has no pods yet: it is Created: It is created.")

	// Pods come one after another.
	a.write("mnist-master-0", "m1")
	a.put(jobPod("master", 0, 0, "Running"))
	f.until("[0] m1\n")
	a.put(jobPod("worker", 0, 0, ""))
	a.write("mnist-worker-0", "w1")
	a.put(jobPod("worker", 0, 0, "Running"))
	f.until("[1] w1\n")

	// A stream breaks off: it is read on where it stopped.
	a.write("mnist-worker-0", "w2")
	f.until("[1] w2\n")
	a.do(func() { a.logs["mnist-worker-0"].broken++ })
	a.write("mnist-worker-0", "w3")
	f.until("[1] w3\n")

	// A container starts again: its new log is read from the beginning.
	a.do(func() { a.logs["mnist-worker-0"].ended = true })
	a.do(func() { a.logs["mnist-worker-0"] = &containerLog{lines: []string{"again"}} })
	a.put(jobPod("worker", 0, 1, "Running"))
	f.until("[1] again\n")
	f.until("note: [1] pod mnist-worker-0 has started again\n")

	// So does that of a pod that takes another's place.
	a.delete("Pod", "mnist-worker-0")
	a.do(func() {
		a.logs["mnist-worker-0"].ended = true
		a.logs["mnist-worker-0"] = &containerLog{lines: []string{"anew"}}
	})
	a.put(jobPod("worker", 0, 0, "Running"))
	f.until("[1] anew\n")

	// The last line comes after the end of the job.
	a.put(mnist("Succeeded", "It is done."))
	a.write("mnist-master-0", "m2")
	a.do(func() { a.logs["mnist-master-0"].ended, a.logs["mnist-worker-0"].ended = true, true })
	a.put(jobPod("worker", 0, 0, "Succeeded"))
	a.put(jobPod("master", 0, 0, "Succeeded"))
	want := []string{"[0] m1", "[0] m2", "[1] again", "[1] anew", "[1] w1", "[1] w2", "[1] w3"}
	if got := f.end(exitYes); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLogsOfAJobThatHasEndedAreFollowedToTheirEnd(t *testing.T) {
	a := newAPIServer(t)
	a.put(mnist("Failed", "It ran into a wall."))
	for name, role := range map[string]string{"mnist-master-0": "master", "mnist-worker-0": "worker"} {
		a.write(name, name)
		a.do(func() { a.logs[name].ended = true })
		a.put(jobPod(role, 0, 0, "Succeeded"))
	}
	if got := a.start("logs", "mnist", "-f", "--all-ranks").end(exitYes); !slices.Equal(got, []string{"[0] mnist-master-0", "[1] mnist-worker-0"}) {
		t.Errorf("got %q", got)
	}
	if got := a.start("logs", "mnist", "-f").end(exitYes); !slices.Equal(got, []string{"mnist-master-0"}) {
		t.Errorf("got %q", got)
	}
}

func TestLogsThatCannotBeFollowed(t *testing.T) {
	t.Parallel()
	a := newAPIServer(t)
	a.put(mnist("Running", ""))
	a.put(jobPod("master", 0, 0, "Running"))
	f := a.start("logs", "mnist", "-f", "--tail", "1", "--since", "90s")
	f.until("note: [0] the log of pod mnist-master-0 cannot be read: no log of mnist-master-0\n")
	a.mu.Lock()
	if want := "mnist-master-0?follow=true&sinceSeconds=90&tailLines=1&timestamps=true"; a.asked[0] != want {
		t.Errorf("asked for %s, want %s", a.asked[0], want)
	}
	a.mu.Unlock()
	a.delete("PyTorchJob", "mnist")
	f.end(exitYes)
}

func TestLogsGiveUpWhereTheCallerMayNotRead(t *testing.T) {
	a := newAPIServer(t)
	a.put(mnist("Running", ""))
	a.do(func() { a.refuses = "/pods" })
	for _, args := range [][]string{{"logs", "mnist"}, {"logs", "mnist", "-f"}} {
		if code, _, errOut := a.invoke(args...); code != exitError || !strings.Contains(errOut, "you may not") {
			t.Errorf("%q: exit code %d, error %q", args, code, errOut)
		}
	}
}
