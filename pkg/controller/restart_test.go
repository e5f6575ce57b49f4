package controller

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// masterAndWorkers is a job with a Master and two Workers of a restart policy.
func masterAndWorkers(policy string) string {
	return `{spec: {pytorchReplicaSpecs: {
		Master: {replicas: 1, restartPolicy: ` + policy + `},
		Worker: {replicas: 2, restartPolicy: ` + policy + `}}}}`
}

func running(t *testing.T, text string) *world {
	t.Helper()
	return newWorld(t, parseJob(t, text)).look().run().look().wantState("Running")
}

func limit(n int32) func(*v1.PyTorchJob) {
	return func(j *v1.PyTorchJob) { j.Spec.RunPolicy.BackoffLimit = &n }
}

func evict(pod *corev1.Pod) {
	pod.Status.Phase = corev1.PodFailed
	pod.Status.Conditions = append(pod.Status.Conditions,
		corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue})
}

// TestFailurePolicies is the table of what a pod's end means.
func TestFailurePolicies(t *testing.T) {
	const (
		permanent = "Failed"
		again     = "Restarting"
	)
	reason := func(text string) func(*world) {
		return func(w *world) {
			w.change("worker-1", func(p *corev1.Pod) { p.Status.Phase, p.Status.Reason = corev1.PodFailed, text })
		}
	}
	code := func(n int32) func(*world) { return func(w *world) { w.exit("worker-1", n) } }
	otherContainer := func(w *world) {
		w.exit("worker-1", 1).change("worker-1", func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State.Terminated.ExitCode = 0
		})
	}
	evicted := func(w *world) { w.exit("worker-1", 1).change("worker-1", evict) }
	for _, test := range []struct {
		policy, what string
		act          func(*world)
		state        string
		counted      int32
	}{
		{"Always", "code 1", code(1), again, 1},
		{"OnFailure", "code 1", code(1), again, 1},
		{"ExitCode", "code 1", code(1), permanent, 0},
		{"Never", "code 1", code(1), permanent, 0},
		{"Always", "code 137", code(137), again, 1},
		{"OnFailure", "code 137", code(137), again, 1},
		{"ExitCode", "code 137", code(137), again, 1},
		{"Never", "code 137", code(137), permanent, 0},
		{"OnFailure", "another container", otherContainer, again, 1},
		{"ExitCode", "another container", otherContainer, permanent, 0},
		{"Always", "eviction", evicted, again, 0},
		{"OnFailure", "eviction", evicted, again, 0},
		{"ExitCode", "eviction", evicted, again, 0},
		{"Never", "eviction", evicted, again, 0},
		{"OnFailure", "no room at the node", reason("OutOfnvidia.com/gpu"), again, 0},
		{"ExitCode", "no room at the node", reason("OutOfnvidia.com/gpu"), again, 0},
		{"Never", "no room at the node", reason("OutOfcpu"), again, 0},
		{"Never", "admission error", reason("UnexpectedAdmissionError"), again, 0},
		{"ExitCode", "node lost", reason("NodeLost"), again, 0},
		{"Never", "node lost", reason("NodeLost"), permanent, 0},
		{"ExitCode", "nothing known", reason(""), again, 0},
		{"Never", "nothing known", reason(""), permanent, 0},
		{"Never", "deleted", func(w *world) { w.vanish("worker-1") }, again, 0},
		{"ExitCode", "deleted, exit 1 on SIGTERM", func(w *world) { w.terminate("worker-1", 30).exit("worker-1", 1) }, again, 0},
	} {
		t.Run(test.policy+" "+test.what, func(t *testing.T) {
			w := running(t, masterAndWorkers(test.policy))
			test.act(w)
			w.look()
			if test.state == permanent {
				w.wait(doubtWindow).look() // the benefit of the doubt is over
			}
			w.wantState(test.state)
			if got := w.restarts(); got != test.counted {
				t.Errorf("counted %d restarts, want %d", got, test.counted)
			}
			if test.state == permanent {
				if w.Job.Status.CompletionTime == nil || w.told(reasonFailed) != 1 || w.told(reasonRestarting) != 0 {
					t.Errorf("a failed job without completion time, or with other events: %v", w.heard)
				}
				return
			}
			says := "1 Worker replica(s) were deleted, evicted or lost."
			if test.counted > 0 {
				says = "1 Worker replica(s) failed."
			}
			if got := condition(&w.Job.Status, v1.JobRestarting).Message; !strings.HasSuffix(got, says) {
				t.Errorf("message %q, want %q", got, says)
			}
			if pod := w.find("worker-1"); pod != nil && pod.DeletionTimestamp != nil {
				w.vanish("worker-1")
			}
			w.rest().wantState("Restarting").wantPods("master-0 worker-0 worker-1")
			w.run().rest().wantState("Running")
			if w.told(reasonRestarting) != 1 || w.told(reasonRunning) != 2 {
				t.Errorf("events: %v", w.heard)
			}
		})
	}
}

// TestBackoff: n counted restarts are allowed, whoever counts (E16, D2).
func TestBackoff(t *testing.T) {
	w := running(t, masterAndWorkers("ExitCode")).edit(limit(2))
	for range 2 {
		w.exit("worker-1", 137).rest().wantState("Restarting").run().rest().wantState("Running")
	}
	w.exit("worker-1", 137).look().wantState("Failed")
	// Running pods are stopped, finished ones stay for their logs (D4).
	w.rest().wantPods("worker-1")
	if got := condition(&w.Job.Status, v1.JobFailed).Message; !strings.Contains(got, "backoff limit") {
		t.Errorf("message: %s", got)
	}
}

// TestBackoffCountsInPlace: restarts by the kubelet count, and live longer than the pod.
func TestBackoffCountsInPlace(t *testing.T) {
	w := running(t, masterAndWorkers("OnFailure")).edit(limit(2))
	w.restart("worker-0", 137).look().wait(time.Minute)
	w.vanish("worker-0").rest().run().rest().wantState("Running")
	w.restart("worker-0", 1).look().wantState("Running").wait(time.Minute)
	if w.restarts() != 2 {
		t.Errorf("%d restarts after two", w.restarts())
	}
	w.restart("worker-0", 1).change("worker-0", func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses[0].LastTerminationState.Terminated.Message = "RuntimeError: CUDA out of memory\n"
	}).look().wantState("Failed")
	// The pod goes, and its log with it; its last words are told.
	const want = "Pod: team.job-worker-0 exited with code 1: RuntimeError: CUDA out of memory"
	if !slices.ContainsFunc(w.news, func(e Event) bool { return e.Message == want }) {
		t.Errorf("events: %v", w.news)
	}
}

// TestAlwaysRestartsAfterSuccess: a program that ends well and is started again has not failed.
func TestAlwaysRestartsAfterSuccess(t *testing.T) {
	w := running(t, masterAndWorkers("Always")).edit(limit(0))
	w.restart("worker-0", 0).look().wantState("Running")
	w.restart("worker-0", 1).look().wantState("Failed")
}

// TestIncident: what follows from one death counts once (D23).
func TestIncident(t *testing.T) {
	t.Run("peers fall after a signal", func(t *testing.T) {
		w := running(t, masterAndWorkers("ExitCode")).edit(limit(1))
		at := w.Now
		w.exitAt("worker-1", 137, at).exitAt("worker-0", 1, at.Add(time.Second)).exitAt("master-0", 1, at.Add(20*time.Second))
		w.wait(20 * time.Second).look().wantState("Restarting")
		if w.restarts() != 1 {
			t.Errorf("%d restarts counted", w.restarts())
		}
		w.rest().wantPods("master-0 worker-0 worker-1").run().rest().wantState("Running")
	})
	t.Run("the consequence is reported first", func(t *testing.T) {
		w := running(t, masterAndWorkers("ExitCode"))
		at := w.Now.Add(time.Second)
		w.exitAt("worker-0", 1, at).look().wantState("Running") // in doubt
		w.exitAt("worker-1", 137, at.Add(-time.Second)).look().wantState("Restarting")
		if w.restarts() != 1 {
			t.Errorf("%d restarts counted", w.restarts())
		}
	})
	t.Run("the consequence itself is reported late", func(t *testing.T) {
		w := running(t, masterAndWorkers("ExitCode")).wait(time.Minute)
		at := w.Now.Add(-2 * doubtWindow)
		w.exitAt("worker-0", 1, at).look().wantState("Running") // in doubt
		w.exitAt("worker-1", 137, at.Add(-time.Second)).look().wantState("Restarting")
		if w.restarts() != 1 {
			t.Errorf("%d restarts counted", w.restarts())
		}
	})
	t.Run("no cause turns up", func(t *testing.T) {
		w := running(t, masterAndWorkers("ExitCode"))
		w.exitAt("worker-0", 1, w.Now.Add(2*time.Second)).look().wantState("Running")
		if w.last.Wake.IsZero() {
			t.Fatal("nobody looks again")
		}
		w.Now = w.last.Wake
		w.lookNow().wantState("Failed")
	})
	t.Run("of OnFailure", func(t *testing.T) {
		w := running(t, masterAndWorkers("OnFailure")).edit(limit(1))
		w.restart("worker-1", 1)
		w.wait(2 * time.Second)
		w.change("worker-0", func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 1, LastTerminationState: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, FinishedAt: metav1.NewTime(w.Now),
					StartedAt: metav1.NewTime(w.Now.Add(-time.Hour))}}}}
		})
		w.look().wantState("Running")
		if w.restarts() != 1 {
			t.Errorf("%d restarts counted", w.restarts())
		}
	})
	t.Run("a peer that is being evicted", func(t *testing.T) {
		w := running(t, masterAndWorkers("ExitCode"))
		w.terminate("worker-1", 60).wait(10 * time.Second)
		w.exit("worker-0", 1).look().wantState("Restarting")
		if w.restarts() != 0 {
			t.Errorf("%d restarts counted", w.restarts())
		}
	})
	t.Run("after a peer was taken away", func(t *testing.T) {
		w := running(t, masterAndWorkers("Never"))
		w.vanish("worker-1").look()
		w.exit("worker-0", 1).look().wantState("Restarting").rest()
		w.wantPods("master-0 worker-0 worker-1")
	})
	t.Run("before a peer that is evicted has ended", func(t *testing.T) {
		for _, policy := range []string{"ExitCode", "Never"} {
			w := running(t, masterAndWorkers(policy)).edit(limit(0))
			w.exit("worker-0", 1).look().wantState("Running") // in doubt
			w.exit("worker-1", 143).change("worker-1", evict).look().wantState("Restarting").rest()
			if w.wantPods("master-0 worker-0 worker-1"); w.restarts() != 0 {
				t.Errorf("%s: %d restarts counted", policy, w.restarts())
			}
		}
	})
	t.Run("before it is known that a peer is lost", func(t *testing.T) {
		w := running(t, masterAndWorkers("ExitCode")).edit(limit(0))
		w.exit("worker-0", 1).look().wantState("Running") // in doubt
		w.change("worker-1", evict).look().wantState("Restarting").rest().wantPods("master-0 worker-0 worker-1")
	})
	t.Run("seen together with what was taken away", func(t *testing.T) {
		w := running(t, masterAndWorkers("ExitCode"))
		w.exitAt("worker-0", 1, w.Now.Add(time.Second)).vanish("worker-1").look()
		w.look().look().look().wantState("Restarting").rest().wantPods("master-0 worker-0 worker-1")
	})
	t.Run("who falls again was not felled by the first fall", func(t *testing.T) {
		w := running(t, masterAndWorkers("OnFailure")).edit(limit(1))
		at := w.Now // the kubelet's times are whole seconds
		fall := func(name string) {
			w.restart(name, 1).change(name, func(p *corev1.Pod) {
				p.Status.ContainerStatuses[0].LastTerminationState.Terminated.StartedAt = metav1.NewTime(at)
				p.Status.ContainerStatuses[0].LastTerminationState.Terminated.FinishedAt = metav1.NewTime(at)
			})
		}
		fall("worker-0")
		fall("worker-1")
		w.look().wantState("Running")
		if w.restarts() != 1 {
			t.Errorf("%d restarts counted of two that fell together", w.restarts())
		}
		fall("worker-1")
		w.look().wantState("Failed")
	})
	t.Run("too late", func(t *testing.T) {
		w := running(t, masterAndWorkers("ExitCode"))
		w.exit("worker-1", 137).rest().run().rest().wantState("Running").wait(time.Minute)
		w.exit("worker-0", 1).look().wait(doubtWindow).look().wantState("Failed")
	})
	t.Run("two signals are two", func(t *testing.T) {
		w := running(t, masterAndWorkers("ExitCode"))
		w.exit("worker-1", 137).exit("worker-0", 139).look()
		if w.restarts() != 2 {
			t.Errorf("%d restarts counted", w.restarts())
		}
	})
}

// restarted: the controller was down, and has not seen who went.
func (w *world) restarted() *world {
	w.Gone, w.First = nil, true
	return w
}

// TestWentUnseen: a pod that was taken away while the controller was down is a loss like any
// other, and its peers fell by it.
func TestWentUnseen(t *testing.T) {
	for _, policy := range []string{"Never", "ExitCode"} {
		w := running(t, masterAndWorkers(policy)).wait(time.Minute)
		at := w.Now.Add(-20 * time.Second)
		w.vanish("worker-1").exitAt("worker-0", 1, at).restarted().look().wantState("Restarting")
		w.rest().wantPods("master-0 worker-0 worker-1").run().rest().wantState("Running")
		if w.restarts() != 0 {
			t.Errorf("%s: %d restarts counted", policy, w.restarts())
		}
		w.wait(time.Minute).exit("worker-0", 1).restarted().look().wait(doubtWindow).look().wantState("Failed") // nobody is missing
	}
	w := running(t, elasticJob)
	uid := w.find("worker-1").UID
	if w.vanish("worker-0").restarted().rest(); w.find("worker-1").UID == uid {
		t.Error("worker-1 was left without a store")
	}
	w.run().rest().wantState("Running")
	scaleTo(3)(w)
	if w.restarted().rest().wantState("Running").wantPods("worker-0 worker-1 worker-2"); w.told(reasonRestarting) != 1 {
		t.Errorf("events: %v", w.heard)
	}
}

// TestNoRestartsAreShown: the column shows 0 where there were none.
func TestNoRestartsAreShown(t *testing.T) {
	text, err := json.Marshal(running(t, masterAndWorkers("Never")).Job.Status)
	if err != nil || !strings.Contains(string(text), `"restarts":0`) {
		t.Errorf("%s, %v", text, err)
	}
}

// TestRestartIsCountedOnce: the count is in the status before its evidence is deleted,
// so a crash between the two counts nothing twice.
func TestRestartIsCountedOnce(t *testing.T) {
	w := running(t, masterAndWorkers("ExitCode"))
	w.exit("worker-1", 137)
	failed := w.find("worker-1")
	w.look()
	w.Pods = append(without(w.Pods, failed), failed) // the deletion never happened
	w.look()
	if w.restarts() != 1 {
		t.Errorf("%d restarts counted", w.restarts())
	}
	w.rest().wantPods("master-0 worker-0 worker-1")
}

// TestStuckPod: a dead node must not hold the job (D24).
func TestStuckPod(t *testing.T) {
	w := running(t, masterAndWorkers("OnFailure")).terminate("worker-1", 30).look().wantState("Restarting")
	due := w.find("worker-1").DeletionTimestamp.Add(5 * time.Minute)
	if !w.last.Wake.Equal(due) {
		t.Errorf("wakes at %v, want %v", w.last.Wake, due)
	}
	w.Now = due
	w.lookNow()
	if n := len(w.last.Delete); n != 1 || *w.last.Delete[0].Grace != 0 {
		t.Errorf("not deleted by force: %+v", w.last.Delete)
	}
	w.rest().run().rest().wantState("Running")
}

// TestCrashLoop: what fails at its start again and again is not started at once.
func TestCrashLoop(t *testing.T) {
	w := running(t, masterAndWorkers("ExitCode"))
	crash := func() {
		w.exit("worker-1", 139).change("worker-1", func(pod *corev1.Pod) {
			pod.Status.ContainerStatuses[0].State.Terminated.StartedAt = metav1.NewTime(w.Now.Add(-time.Second))
		})
		w.lookNow().lookNow()
	}
	delays := []time.Duration{0, 2 * time.Second, 4 * time.Second, 8 * time.Second}
	for i, delay := range delays {
		crash()
		if delay > 0 {
			w.wantPods("master-0 worker-0")
			if want := w.Now.Add(delay); !w.last.Wake.Equal(want) {
				t.Fatalf("crash %d: wakes at %v, want %v", i+1, w.last.Wake, want)
			}
			w.Now = w.last.Wake
			w.lookNow()
		}
		w.wantPods("master-0 worker-0 worker-1").run("worker-1").rest()
	}
	w.exit("worker-1", 139).change("worker-1", func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses[0].State.Terminated.StartedAt = metav1.NewTime(w.Now.Add(-time.Hour))
	})
	w.lookNow().lookNow().wantPods("master-0 worker-0 worker-1") // it ran for long: no crash at the start
}
