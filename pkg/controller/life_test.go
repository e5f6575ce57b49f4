package controller

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/kube"
)

func policy(edit func(*v1.RunPolicy)) func(*v1.PyTorchJob) {
	return func(j *v1.PyTorchJob) { edit(&j.Spec.RunPolicy) }
}

// TestMasterDecides: also when a Worker fails in the same moment (E30, D6).
func TestMasterDecides(t *testing.T) {
	for range 100 {
		w := running(t, masterAndWorkers("Never"))
		w.exit("worker-0", 1).exit("master-0", 0).look().wantState("Succeeded")
	}
}

// TestWorkersOnly: success only after all of them (E9).
func TestWorkersOnly(t *testing.T) {
	w := running(t, `{spec: {pytorchReplicaSpecs: {Worker: {replicas: 3}}}}`)
	if w.find("worker-0").Labels[LabelJobRole] != "master" || w.find("worker-1").Labels[LabelJobRole] != "" {
		t.Error("worker-0 does not have the master's role")
	}
	w.exit("worker-0", 0).exit("worker-2", 0).rest().wantState("Running")
	w.exit("worker-1", 0).rest().wantState("Succeeded").wantPods("worker-0 worker-1 worker-2")
}

// TestCompletedIsNotRunAgain: when somebody deletes a pod that has succeeded (D25).
func TestCompletedIsNotRunAgain(t *testing.T) {
	w := running(t, `{spec: {pytorchReplicaSpecs: {Worker: {replicas: 3}}}}`)
	w.exit("worker-0", 0).look().vanish("worker-0").rest().wantPods("worker-1 worker-2")
	w.exit("worker-2", 0).vanish("worker-2").rest().wantPods("worker-1") // never seen as succeeded
	w.exit("worker-1", 0).look().wantState("Succeeded")
	if got := w.Job.Status.ReplicaStatuses[v1.Worker].Succeeded; got != 3 {
		t.Errorf("%d succeeded", got)
	}
}

// TestDeletedMasterHasNotSucceeded: exit code 0 on SIGTERM is not the end of the work.
func TestDeletedMasterHasNotSucceeded(t *testing.T) {
	for _, later := range []time.Duration{0, time.Second} { // the kubelet's times are whole seconds
		w := running(t, masterAndWorkers("OnFailure")).terminate("master-0", 30).wait(later)
		w.exit("master-0", 0).look().wantState("Restarting")
		w.vanish("master-0").rest().wantPods("master-0 worker-0 worker-1")
	}
	// A pod that has ended gets no grace period.
	running(t, masterAndWorkers("OnFailure")).exit("master-0", 0).terminate("master-0", 0).look().wantState("Succeeded")
}

// TestCleanPodPolicy: what is left after the end (E2, E20).
func TestCleanPodPolicy(t *testing.T) {
	for _, test := range []struct{ policy, pods, services string }{
		{"All", "", ""},
		{"Running", "master-0", "master-0"},
		{"None", "master-0 worker-0 worker-1", "master-0 worker-0 worker-1"},
		{"Sometimes", "master-0 worker-0 worker-1", "master-0 worker-0 worker-1"}, // set after the end, under another CRD
		{`""`, "master-0 worker-0 worker-1", "master-0 worker-0 worker-1"},
	} {
		t.Run(test.policy, func(t *testing.T) {
			w := running(t, `{spec: {runPolicy: {cleanPodPolicy: None}, pytorchReplicaSpecs: {
				Master: {}, Worker: {replicas: 2, template: {spec: {containers: [
					{name: pytorch, image: a, resources: {limits: {nvidia.com/gpu: 2}}}]}}}}}}`)
			clean := v1.CleanPodPolicy(strings.Trim(test.policy, `"`))
			if test.policy == "Sometimes" {
				w.exit("master-0", 0).look()
			}
			w.edit(policy(func(p *v1.RunPolicy) { p.CleanPodPolicy = &clean }))
			if test.policy != "Sometimes" {
				w.exit("master-0", 0)
			}
			w.look().wantState("Succeeded").rest().wantPods(test.pods)
			if w.services() != test.services {
				t.Errorf("services: %s", w.services())
			}
			if w.PodGroup != nil {
				t.Error("the PodGroup is still there")
			}
			if got, want := w.told("PodsStillRunning") == 1, test.pods == "master-0 worker-0 worker-1"; got != want {
				t.Errorf("PodsStillRunning: %v", w.heard)
			}
			if w.Job.Status.ReplicaStatuses[v1.Master].Succeeded != 1 {
				t.Error("the Master's success is no longer counted")
			}
			for _, event := range w.heard {
				if event.Reason == "PodsStillRunning" && !strings.Contains(event.Message, "2 pods") ||
					event.Reason == "PodsStillRunning" && !strings.Contains(event.Message, "4 nvidia.com/gpu") {
					t.Errorf("message: %s", event.Message)
				}
			}
		})
	}
}

// TestServicesDoNotLeak: also those of pods that are gone already (D20).
func TestServicesDoNotLeak(t *testing.T) {
	w := running(t, masterAndWorkers("OnFailure")).edit(policy(func(p *v1.RunPolicy) { p.CleanPodPolicy = new(v1.CleanAll) }))
	w.vanish("worker-1").exit("master-0", 0).rest()
	if w.services() != "" || w.pods() != "" {
		t.Errorf("left: pods %q, services %q", w.pods(), w.services())
	}
}

// TestDeadline: it fires by itself (E18, D1).
func TestDeadline(t *testing.T) {
	job := parseJob(t, masterAndWorkers("OnFailure"))
	job.Spec.RunPolicy.ActiveDeadlineSeconds = new(int64(60))
	w := newWorld(t, job).look().run().look()
	due := w.Job.Status.StartTime.Add(61 * time.Second) // never early, though the stored start is cut to seconds
	if !w.last.Wake.Equal(due) {
		t.Fatalf("wakes at %v, want %v", w.last.Wake, due)
	}
	w.Now = due
	w.lookNow().wantState("Failed").rest().wantPods("")

	job.Spec.RunPolicy.ActiveDeadlineSeconds = new(int64(1<<63 - 1))
	newWorld(t, job).look().run().rest().wantState("Running") // "never", as some write it
}

// TestTTL: by its own alarm; also after a permanent failure (E15, D3), with ttl 0 (E19),
// and when the job is suspended afterwards (D5).
func TestTTL(t *testing.T) {
	w := running(t, masterAndWorkers("ExitCode")).edit(policy(func(p *v1.RunPolicy) { p.TTLSecondsAfterFinished = new(int32(5)) }))
	w.exit("worker-1", 1).look().wait(doubtWindow).look().wantState("Failed")
	due := w.Job.Status.CompletionTime.Add(5 * time.Second)
	if !w.last.Wake.Equal(due) || w.last.DeleteJob {
		t.Fatalf("wakes at %v, want %v", w.last.Wake, due)
	}
	w.edit(policy(func(p *v1.RunPolicy) { p.Suspend = new(true) }))
	w.Now = due
	w.lookNow()
	if !w.last.DeleteJob {
		t.Error("the job is not deleted")
	}

	w = running(t, masterAndWorkers("Never")).edit(policy(func(p *v1.RunPolicy) { p.TTLSecondsAfterFinished = new(int32(0)) }))
	if w.exit("master-0", 0).look(); !w.last.DeleteJob {
		t.Error("ttl 0: the job is not deleted at its end")
	}

	// Kubeflow's operator leaves the completion time out at a permanent exit code (D3).
	w = running(t, masterAndWorkers("ExitCode")).exit("worker-1", 1).look().wait(doubtWindow).look().wantState("Failed")
	ended := *w.Job.Status.CompletionTime
	w.Job.Status.CompletionTime = nil
	w.edit(policy(func(p *v1.RunPolicy) { p.TTLSecondsAfterFinished = new(int32(100)) })).look()
	if w.Job.Status.CompletionTime == nil || !w.last.Wake.Equal(ended.Add(100*time.Second)) {
		t.Errorf("completed at %v, wakes at %v; the job ended at %v", w.Job.Status.CompletionTime, w.last.Wake, ended)
	}
}

// TestSuspend: once Suspended, once Resumed, over ten looks each (E12, D7, D26).
func TestSuspend(t *testing.T) {
	w := running(t, masterAndWorkers("ExitCode"))
	w.exit("worker-1", 137).rest().run().rest()
	began := *w.Job.Status.StartTime
	suspendTo(true)(w)
	for range 10 {
		w.look().wantState("Suspended").wantPods("")
	}
	if w.services() != "" || w.PodGroup != nil || w.told(reasonSuspended) != 1 || w.told("JobTerminated") != 1 {
		t.Errorf("left: services %q; events: %v", w.services(), w.heard)
	}
	if !w.Job.Status.StartTime.Equal(&began) {
		t.Error("the start time did not stay")
	}
	suspendTo(false)(w)
	for range 10 {
		w.look().wantState("Created")
	}
	if w.told(reasonResumed) != 1 || w.restarts() != 0 || w.Job.Status.StartTime.Equal(&began) {
		t.Errorf("resumed: events %v, restarts %d, start %v", w.heard, w.restarts(), w.Job.Status.StartTime)
	}
	w.wantPods("master-0 worker-0 worker-1").run().rest().wantState("Running")
}

// TestResumeBeforeThePodsAreGone: what goes by the suspension is no loss of the new life.
func TestResumeBeforeThePodsAreGone(t *testing.T) {
	w := running(t, masterAndWorkers("Never"))
	pods := w.Pods
	suspendTo(true)(w)
	w.look()
	w.Pods = pods
	for _, name := range []string{"master-0", "worker-0", "worker-1"} {
		w.terminate(name, 30)
	}
	suspendTo(false)(w)
	w.look().wantState("Created")
	for _, name := range []string{"master-0", "worker-0", "worker-1"} {
		w.Pods = without(w.Pods, w.find(name))
	}
	w.rest().wantState("Created").run().rest().wantState("Running")
	if w.told(reasonRestarting) != 0 {
		t.Errorf("events: %v", w.heard)
	}
}

// TestResumeRunsTheCompletedAgain: also when their pods of the earlier life are still there.
func TestResumeRunsTheCompletedAgain(t *testing.T) {
	w := running(t, `{spec: {pytorchReplicaSpecs: {Worker: {replicas: 2}}}}`).exit("worker-0", 0).look()
	suspendTo(true)(w)
	w.crashAfter = 1 // the status is written, nothing is deleted
	w.look()
	suspendTo(false)(w)
	w.rest().wantPods("worker-0 worker-1").run().rest().exit("worker-1", 0).rest().wantState("Running")
	w.exit("worker-0", 0).rest().wantState("Succeeded")
}

// TestSuspendedAfterItsSuccess: what had come to its end before anybody looked is not run again, and
// what comes to it because of the suspension has not.
func TestSuspendedAfterItsSuccess(t *testing.T) {
	w := running(t, masterAndWorkers("OnFailure")).exit("master-0", 0)
	suspendTo(true)(w)
	w.rest().wantState("Succeeded")
	if w.told(reasonSuspended) != 0 || w.Job.Status.CompletionTime == nil {
		t.Errorf("events: %v, completed at %v", w.heard, w.Job.Status.CompletionTime)
	}
	suspendTo(false)(w)
	w.rest().wantState("Succeeded")

	w = running(t, masterAndWorkers("OnFailure"))
	pods := w.Pods
	suspendTo(true)(w)
	w.look().wantState("Suspended")
	w.Pods = pods
	w.terminate("master-0", 30).exit("master-0", 0)
	w.look().wantState("Suspended")
}

// TestCreatedSuspended: nothing is made, and the template at the resume counts (E13).
func TestCreatedSuspended(t *testing.T) {
	job := parseJob(t, masterAndWorkers("OnFailure"))
	job.Spec.RunPolicy.Suspend = new(true)
	w := newWorld(t, job).rest().wantState("Suspended").wantPods("")
	if w.Job.Status.StartTime != nil || w.PodGroup != nil || w.writes != 1 {
		t.Errorf("start %v, writes %d", w.Job.Status.StartTime, w.writes)
	}
	w.edit(func(j *v1.PyTorchJob) {
		j.Spec.PyTorchReplicaSpecs[v1.Master].Template.Spec.Containers[0].Image = "other:2"
	})
	suspendTo(false)(w)
	w.rest().wantState("Created")
	if w.Job.Status.StartTime == nil || w.find("master-0").Spec.Containers[0].Image != "other:2" {
		t.Error("not started with the new template")
	}
}

// TestMissedSuspension: suspended, changed and resumed before anybody looked, a job still
// gets pods of its new template, and one that has not changed keeps its pods.
func TestMissedSuspension(t *testing.T) {
	w := running(t, masterAndWorkers("OnFailure"))
	uid := w.find("master-0").UID
	suspendTo(true)(w)
	suspendTo(false)(w)
	if w.rest(); w.find("master-0").UID != uid {
		t.Error("a suspension that nobody has seen took the pods of an unchanged job")
	}
	suspendTo(true)(w)
	w.edit(func(j *v1.PyTorchJob) {
		j.Spec.PyTorchReplicaSpecs[v1.Worker].Template.Spec.Containers[0].Image = "other:2"
	})
	suspendTo(false)(w)
	w.rest().wantState("Created").wantPods("master-0 worker-0 worker-1")
	if w.find("worker-1").Spec.Containers[0].Image != "other:2" || w.find("master-0").UID == uid {
		t.Error("the old pods are still there")
	}
	if w.told(reasonSuspended) != 1 || w.told(reasonResumed) != 1 || w.restarts() != 0 {
		t.Errorf("events: %v", w.heard)
	}
	w.run().rest().wantState("Running")
}

// TestSameTemplates: what the definition takes from the owner of a running job as no change restarts nothing:
// amounts in other words, and what of the template's metadata does not reach the pods.
func TestSameTemplates(t *testing.T) {
	limits := func(cpu, memory string) func(*v1.PyTorchJob) {
		return func(j *v1.PyTorchJob) {
			j.Spec.PyTorchReplicaSpecs[v1.Worker].Template.Spec.Containers[0].Resources.Limits = corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
		}
	}
	job := parseJob(t, masterAndWorkers("OnFailure"))
	limits("1", "1Gi")(job)
	w := newWorld(t, job).look().run().rest().wantState("Running")
	uid := w.find("worker-0").UID
	for _, same := range []func(*v1.PyTorchJob){
		limits("1000m", "1024Mi"), limits("1e0", "1073741824"),
		func(j *v1.PyTorchJob) { j.Spec.PyTorchReplicaSpecs[v1.Worker].Template.Name = "a" },
		func(j *v1.PyTorchJob) {
			j.Spec.PyTorchReplicaSpecs[v1.Worker].Template.CreationTimestamp = metav1.NewTime(w.Now)
		},
	} {
		w.edit(same).rest().wantState("Running")
		if w.find("worker-0").UID != uid {
			t.Fatalf("restarted; events %v", w.heard)
		}
	}
	if w.edit(limits("2", "1Gi")).rest(); w.find("worker-0").UID == uid {
		t.Error("a real change was missed")
	}
}

// TestTemplatesInOtherWords: an upgrade may write templates otherwise; that is no change.
func TestTemplatesInOtherWords(t *testing.T) {
	w := running(t, masterAndWorkers("OnFailure"))
	uid := w.find("master-0").UID
	w.Job = w.Job.DeepCopy()
	w.Job.Status.Progress.Templates = "of-an-older-version"
	if w.rest(); w.find("master-0").UID != uid {
		t.Error("an upgrade took the pods of a running job")
	}
	if w.edit(limit(3)).rest(); w.find("master-0").UID != uid {
		t.Error("a change after an upgrade took the pods of a running job")
	}
	w.Job = w.Job.DeepCopy()
	w.Job.Status.Progress.Templates = hashedAs + "written otherwise"
	if w.restarted().rest().edit(limit(4)).rest(); w.find("master-0").UID != uid {
		t.Error("a change after another start took the pods of a running job")
	}
}

// TestNotOurs: a job of another manager is left alone altogether.
func TestNotOurs(t *testing.T) {
	job := parseJob(t, masterAndWorkers("OnFailure"))
	job.Spec.RunPolicy.ManagedBy = new(v1.ManagedByMultiKueue)
	w := newWorld(t, job).look()
	now := metav1.NewTime(w.Now)
	deleted := newWorld(t, parseJob(t, masterAndWorkers("OnFailure"))).edit(func(j *v1.PyTorchJob) { j.DeletionTimestamp = &now }).look()
	for _, w := range []*world{w, deleted} {
		if w.writes != 0 || len(w.heard) != 0 {
			t.Errorf("writes %d, events %v", w.writes, w.heard)
		}
	}
}

// TestInvalid: a job that was stored under another CRD says what is wrong, and nothing is made.
func TestInvalid(t *testing.T) {
	job := parseJob(t, masterAndWorkers("OnFailure"))
	job.Spec.PyTorchReplicaSpecs[v1.Master].Replicas = new(int32(2))
	w := newWorld(t, job).rest().wantState("Invalid").wantPods("")
	const want = "spec.pytorchReplicaSpecs[Master].replicas: Forbidden: must be 1"
	if got := condition(&w.Job.Status, v1.JobInvalid).Message; got != want || w.told(reasonInvalid) != 1 || w.writes != 1 {
		t.Errorf("message %q, events %v, writes %d", got, w.heard, w.writes)
	}
	w.edit(func(j *v1.PyTorchJob) { j.Spec.PyTorchReplicaSpecs[v1.Master].Replicas = nil })
	w.rest().wantState("Created").wantPods("master-0 worker-0 worker-1")
}

func TestTooLarge(t *testing.T) {
	job := parseJob(t, masterAndWorkers("OnFailure"))
	job.Spec.PyTorchReplicaSpecs[v1.Worker].Replicas = new(int32(1<<31 - 1))
	w := newWorld(t, job).look().wantState("Invalid")
	if got := condition(&w.Job.Status, v1.JobInvalid).Message; !strings.Contains(got, "--max-gang-size") {
		t.Errorf("message: %s", got)
	}
}

// TestTrouble: a failed creation shows, nothing is tried before its time, and it goes when it is over.
func TestTrouble(t *testing.T) {
	w := newWorld(t, parseJob(t, masterAndWorkers("OnFailure")))
	w.Trouble = &Trouble{Reason: "PriorityClassNotFound", Message: "no such class", Retry: w.Now.Add(time.Minute)}
	w.rest().wantState("Created").wantPods("")
	if c := condition(&w.Job.Status, v1.JobCreateFailed); c == nil || c.Reason != "PriorityClassNotFound" || w.told("PriorityClassNotFound") != 1 {
		t.Errorf("conditions %+v, events %v", w.Job.Status.Conditions, w.heard)
	}
	if !w.last.Wake.Equal(w.Trouble.Retry) {
		t.Errorf("wakes at %v", w.last.Wake)
	}
	w.wait(time.Minute).look().wantPods("master-0 worker-0 worker-1")
	w.Trouble = nil
	if w.look(); condition(&w.Job.Status, v1.JobCreateFailed) != nil {
		t.Error("the trouble is over, its condition is not")
	}
}

// TestMendedTemplate: the template of a job whose pods could not be made is mended; that is no suspension, and
// pods that are there all the same are replaced.
func TestMendedTemplate(t *testing.T) {
	mend := func(j *v1.PyTorchJob) {
		j.Spec.PyTorchReplicaSpecs[v1.Worker].Template.Spec.Containers[0].Image = "mended:2"
	}
	w := newWorld(t, parseJob(t, masterAndWorkers("OnFailure")))
	w.Trouble = &Trouble{Reason: "FailedCreatePod", Message: "no such image", Retry: w.Now.Add(time.Minute)}
	w.rest().wantPods("")
	began := *w.Job.Status.StartTime
	w.edit(mend)
	w.Trouble = nil // it was another template's
	w.rest().wantState("Created").wantPods("master-0 worker-0 worker-1")
	if w.find("worker-1").Spec.Containers[0].Image != "mended:2" || w.told(reasonSuspended) != 0 || !w.Job.Status.StartTime.Equal(&began) {
		t.Errorf("events %v, started at %v", w.heard, w.Job.Status.StartTime)
	}

	w = newWorld(t, parseJob(t, masterAndWorkers("OnFailure"))).rest()
	w.vanish("worker-1")
	w.Trouble = &Trouble{Reason: "FailedCreatePod", Message: "no such image", Retry: w.Now.Add(time.Minute)}
	w.rest().wantPods("master-0 worker-0")
	w.edit(mend)
	w.Trouble = nil
	w.rest().wantPods("master-0 worker-0 worker-1")
	if w.find("worker-0").Spec.Containers[0].Image != "mended:2" {
		t.Error("worker-0 is of the old template")
	}
}

// TestProbe: before a job gets its first pods, the apiserver is asked for each role.
func TestProbe(t *testing.T) {
	w := newWorld(t, parseJob(t, masterAndWorkers("OnFailure"))).look()
	var names []string
	for _, pod := range w.last.Probe {
		names = append(names, pod.Name)
	}
	if strings.Join(names, " ") != "job-master-0 job-worker-0" {
		t.Errorf("probes %v", names)
	}
	if kinds := order0(w.last); kinds != "PodGroup Service Pod" {
		t.Errorf("created in the order %s", kinds)
	}
	w.run().look().vanish("worker-1").look()
	if len(w.last.Probe) != 0 {
		t.Error("a replacement is probed")
	}
}

// order0 is the order in which kinds are created.
func order0(plan Plan) string {
	var kinds []string
	for _, object := range plan.Create {
		if kind := kindOf(object); len(kinds) == 0 || kinds[len(kinds)-1] != kind {
			kinds = append(kinds, kind)
		}
	}
	return strings.Join(kinds, " ")
}

// TestQuiet: at rest nothing is written, and the pods of a gang make one status write.
func TestQuiet(t *testing.T) {
	w := newWorld(t, parseJob(t, `{spec: {pytorchReplicaSpecs: {Master: {}, Worker: {replicas: 7}}}}`)).look().rest()
	before := w.writes
	w.run("master-0").look()
	for _, name := range []string{"worker-0", "worker-1", "worker-2", "worker-3", "worker-4", "worker-5", "worker-6"} {
		w.Now = w.Now.Add(50 * time.Millisecond)
		w.run(name).lookNow()
	}
	if w.writes-before != 1 || w.last.Wake.IsZero() {
		t.Errorf("%d writes within half a second; wakes at %v", w.writes-before, w.last.Wake)
	}
	w.rest()
	if got := w.Job.Status.ReplicaStatuses[v1.Worker].Active; got != 7 || w.writes-before != 2 {
		t.Errorf("%d active after %d writes", got, w.writes-before)
	}
	before = w.writes
	for range 5 {
		w.look()
	}
	if w.writes != before {
		t.Errorf("%d writes at rest", w.writes-before)
	}
}

// TestWarnings: what is odd about a job is told once.
func TestWarnings(t *testing.T) {
	w := newWorld(t, parseJob(t, `{metadata: {annotations: {lockstep.dev/max-resizes: "1"}}, spec: {cleanPodPolicy: All, runPolicy: {cleanPodPolicy: None},
		pytorchReplicaSpecs: {Master: {template: {spec: {restartPolicy: Always, schedulerName: other, containers: [
			{name: pytorch, image: a, env: [{name: RANK, value: "9"}]}]}}}}}}`)).rest()
	for _, reason := range []string{"LegacyFieldIgnored", "SetPodTemplateRestartPolicy", "SetPodTemplateSchedulerName",
		"EnvOverridden", "FieldHasNoEffect"} {
		if w.told(reason) != 1 {
			t.Errorf("%s is told %d times", reason, w.told(reason))
		}
	}
	pod := w.find("master-0")
	if pod.Spec.SchedulerName != "other" || pod.Labels[LabelPodGroup] != "job" || pod.Spec.RestartPolicy != corev1.RestartPolicyOnFailure {
		t.Errorf("pod: %+v", pod)
	}
}

// BenchmarkDecide: what it costs to look at a job of 8 that is at rest. Times 5,000 it is
// what a resync of 5,000 jobs takes to compute.
func BenchmarkDecide(b *testing.B) {
	w := newWorld(b, parseJob(b, `{spec: {pytorchReplicaSpecs: {Master: {}, Worker: {replicas: 7}}}}`)).look().run().rest()
	b.ReportAllocs()
	for b.Loop() {
		if plan := Decide(w.Observed, w.settings); plan.Status != nil {
			b.Fatal("a job at rest is written to")
		}
	}
}

// The gang is in the queue that the job names, and says how long it may run at most.
func TestGangSaysWhatItsJobSays(t *testing.T) {
	w := newWorld(t, parseJob(t, masterAndWorkers("Never")))
	w.edit(policy(func(p *v1.RunPolicy) {
		p.SchedulingPolicy = &v1.SchedulingPolicy{Queue: "vision"}
		p.ActiveDeadlineSeconds = new(int64(5400))
	})).rest()
	group := w.PodGroup
	if got := group.Labels[kube.QueueLabel]; got != "vision" {
		t.Errorf("queue %q, want vision", got)
	}
	if got := group.Annotations[kube.ExpectedDuration]; got != "1h30m0s" {
		t.Errorf("expected duration %q, want 1h30m0s", got)
	}
	w.edit(policy(func(p *v1.RunPolicy) { p.SchedulingPolicy = nil })).rest()
	if got, there := w.PodGroup.Labels[kube.QueueLabel]; there {
		t.Errorf("the job names no queue any more, and the gang is in %q", got)
	}
	w.edit(func(j *v1.PyTorchJob) { j.Labels = map[string]string{kube.QueueLabel: "speech"} }).rest()
	if got := w.PodGroup.Labels[kube.QueueLabel]; got != "speech" {
		t.Errorf("queue %q, want speech, by the job's label", got)
	}
	w.edit(policy(func(p *v1.RunPolicy) { p.SchedulingPolicy = &v1.SchedulingPolicy{Queue: "vision"} })).rest()
	if got := w.PodGroup.Labels[kube.QueueLabel]; got != "vision" {
		t.Errorf("queue %q, want vision: the policy comes before the label", got)
	}
}
