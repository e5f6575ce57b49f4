package controller

import (
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

const elasticJob = `{spec: {elasticPolicy: {minReplicas: 1, maxReplicas: 4, maxRestarts: 3},
	pytorchReplicaSpecs: {Worker: {replicas: 2}}}}`

func annotate(name, value string) func(*v1.PyTorchJob) {
	return func(j *v1.PyTorchJob) {
		if j.Annotations == nil {
			j.Annotations = map[string]string{}
		}
		j.Annotations[name] = value
	}
}

// TestElasticMembership: highest index first, worker-0 stays, survivors aren't touched (E23, E24).
func TestElasticMembership(t *testing.T) {
	w := running(t, elasticJob)
	uid0, uid1 := w.find("worker-0").UID, w.find("worker-1").UID
	scaleTo(3)(w)
	w.look().wantPods("worker-0 worker-1 worker-2").run().rest()
	if w.find("worker-0").UID != uid0 || w.find("worker-1").UID != uid1 {
		t.Error("growth touched a running worker")
	}
	leaving := w.find("worker-2")
	scaleTo(1)(w)
	w.look().wantPods("worker-0")
	for _, deletion := range w.last.Delete {
		if pod, ok := deletion.Object.(*corev1.Pod); ok && *deletion.Grace != 60 {
			t.Errorf("%s gets a notice of %d s", pod.Name, *deletion.Grace)
		}
	}
	// The worker that leaves exits 0 in its grace period: neither success nor failure.
	w.Pods = append(w.Pods, leaving)
	w.terminate("worker-2", 60).wait(time.Second).exit("worker-2", 0).look().wantState("Running")
	w.exit("worker-2", 1).look().wantState("Running")
	if w.services() != "worker-0" || w.find("worker-0").UID != uid0 {
		t.Errorf("services %q", w.services())
	}
	w.Pods = without(w.Pods, leaving)
	w.exit("worker-0", 0).look().wantState("Succeeded")
}

// TestEndBeforeTheyLeave: Workers that should have gone in the moment of the end stay, by the clean-up
// policy, and are counted.
func TestEndBeforeTheyLeave(t *testing.T) {
	w := running(t, strings.Replace(elasticJob, "replicas: 2", "replicas: 4", 1))
	scaleTo(2)(w)
	w.exit("worker-1", 0).look().wantState("Succeeded").rest().wantPods("worker-0 worker-1 worker-2 worker-3")
	if got := w.Job.Status.ReplicaStatuses[v1.Worker]; got.Active != 3 || got.Succeeded != 1 {
		t.Errorf("counts %+v", got)
	}
}

// TestElasticAsked: what was asked for is remembered while the recommender writes the size,
// also when the job is suspended meanwhile, and forgotten when it does so no more.
func TestElasticAsked(t *testing.T) {
	w := running(t, elasticJob)
	if got := w.Job.Status.Progress.Asked; got != nil {
		t.Errorf("%d Workers were asked for of a job that its owner sizes", *got)
	}
	w.edit(annotate(v1.AnnotationAutoscale, "cluster")).rest()
	scaleTo(4)(w)
	w.rest().run().rest()
	if got := w.Job.Status.Progress.Asked; got == nil || *got != 2 {
		t.Errorf("asked for %v, want 2", got)
	}
	suspendTo(true)(w)
	w.rest()
	suspendTo(false)(w)
	w.rest()
	if got := w.Job.Status.Progress.Asked; got == nil || *got != 2 {
		t.Errorf("asked for %v after it was suspended, want 2", got)
	}
	w.edit(func(j *v1.PyTorchJob) { delete(j.Annotations, v1.AnnotationAutoscale) }).rest()
	if got := w.Job.Status.Progress.Asked; got != nil {
		t.Errorf("%d are still asked for", *got)
	}
}

func TestElasticRange(t *testing.T) {
	w := running(t, elasticJob)
	scaleTo(9)(w)
	w.rest().wantPods("worker-0 worker-1 worker-2 worker-3")
	if w.told("ScaleClamped") != 1 || !isTrue(&w.Job.Status, conditionScaleClamped) {
		t.Errorf("events %v", w.heard)
	}
	w.run().rest().wantState("Running")
	scaleTo(3)(w)
	w.rest().wantPods("worker-0 worker-1 worker-2")
	if isTrue(&w.Job.Status, conditionScaleClamped) {
		t.Error("still clamped")
	}
}

// TestLargestGang: what has started goes on where it grows beyond the largest gang; what is
// created so large is refused.
func TestLargestGang(t *testing.T) {
	w := newWorld(t, parseJob(t, elasticJob))
	w.settings.MaxGangSize = 3
	w.look().wantState("Invalid").wantPods("")
	if got := condition(&w.Job.Status, v1.JobInvalid).Message; got != "spec.elasticPolicy.maxReplicas: Invalid value: 4: the job may have 4 pods, more than the limit of 3 (--max-gang-size)" {
		t.Errorf("message: %s", got)
	}
	w.edit(func(j *v1.PyTorchJob) { j.Spec.ElasticPolicy.MaxReplicas = new(int32(3)) }).look().run().rest().wantState("Running")
	uid := w.find("worker-0").UID
	w.edit(func(j *v1.PyTorchJob) { j.Spec.ElasticPolicy.MaxReplicas = new(int32(9)) })
	scaleTo(7)(w)
	w.rest().run().rest().wantState("Running").wantPods("worker-0 worker-1 worker-2")
	if w.find("worker-0").UID != uid {
		t.Error("worker-0 was touched")
	}
	const want = "Worker.replicas is 7: 3 are run, because no job has more than 3 pods (--max-gang-size)"
	if c := condition(&w.Job.Status, conditionScaleClamped); c == nil || c.Reason != "MaxGangSize" || c.Message != want || w.told("ScaleClamped") != 1 {
		t.Errorf("conditions %+v", w.Job.Status.Conditions)
	}
	scaleTo(2)(w)
	if w.rest().wantPods("worker-0 worker-1"); condition(&w.Job.Status, conditionScaleClamped) != nil {
		t.Error("still clamped")
	}
}

func TestElasticTerms(t *testing.T) {
	w := running(t, elasticJob).edit(annotate(v1.AnnotationWorldSizes, "1,2,4"))
	scaleTo(3)(w)
	w.rest().wantPods("worker-0 worker-1")
	w.edit(annotate(v1.AnnotationResizeCooldown, "5m"))
	scaleTo(4)(w)
	w.rest().wantPods("worker-0 worker-1 worker-2 worker-3")
	scaleTo(1)(w)
	w.look().wantPods("worker-0 worker-1 worker-2 worker-3")
	due := w.Job.Status.Progress.LastResize.Add(5 * time.Minute)
	if !w.last.Wake.Equal(due) {
		t.Errorf("wakes at %v, want %v", w.last.Wake, due)
	}
	scaleTo(3)(w)
	w.look().wantPods("worker-0 worker-1 worker-2 worker-3")
	want := "Worker.replicas is 3, which the annotations of the job do not allow: 2 are run from " +
		due.UTC().Format(time.RFC3339) + " on (lockstep.dev/resize-cooldown), 4 until then"
	if c := condition(&w.Job.Status, conditionScaleClamped); c == nil || c.Message != want {
		t.Errorf("in the cool-down: conditions %+v, want %q", w.Job.Status.Conditions, want)
	}
	scaleTo(1)(w)
	w.Now = due
	w.lookNow().rest().wantPods("worker-0")
	w.edit(annotate(v1.AnnotationMaxResizes, "2")).wait(time.Hour)
	scaleTo(4)(w)
	w.rest().wantPods("worker-0")
	if c := condition(&w.Job.Status, conditionScaleClamped); c == nil || c.Reason != "MaxResizes" {
		t.Errorf("conditions %+v", w.Job.Status.Conditions)
	}
}

// TestNotice: what a job asks for is in its pods, for those who evict them; the default is
// in nobody's spec.
func TestNotice(t *testing.T) {
	for annotation, want := range map[string]int64{"": 0, "90s": 90, "10s": 60, "20s": 60} {
		w := newWorld(t, parseJob(t, elasticJob)).edit(annotate(v1.AnnotationCheckpointGrace, annotation)).rest()
		got := int64(0)
		if seconds := w.find("worker-0").Spec.TerminationGracePeriodSeconds; seconds != nil {
			got = *seconds
		}
		if got != want {
			t.Errorf("%q: %d s", annotation, got)
		}
	}
}

// TestStoreLost: with worker-0 goes the store in which the others meet (contract §7.6).
func TestStoreLost(t *testing.T) {
	w := running(t, elasticJob)
	uid := w.find("worker-1").UID
	w.vanish("worker-0").rest().wantPods("worker-0 worker-1")
	if w.find("worker-1").UID == uid {
		t.Error("worker-1 was left without a store")
	}
	w.run().rest().wantState("Running")
	uid = w.find("worker-0").UID
	w.vanish("worker-1").rest()
	if w.find("worker-0").UID != uid {
		t.Error("the loss of worker-1 cost worker-0")
	}
	w = running(t, strings.Replace(elasticJob, "maxRestarts", `rdzvHost: "", maxRestarts`, 1)) // the default, spelt out
	uid = w.find("worker-1").UID
	if w.vanish("worker-0").rest(); w.find("worker-1").UID == uid {
		t.Error("with an empty rdzvHost worker-1 was left without a store")
	}
}

// TestRangeChanged: pods know the range they were started with; it changes with the next
// change of members, not before.
func TestRangeChanged(t *testing.T) {
	w := running(t, elasticJob)
	uid := w.find("worker-0").UID
	w.edit(func(j *v1.PyTorchJob) { j.Spec.ElasticPolicy.MaxReplicas = new(int32(6)) }).rest()
	if w.find("worker-0").UID != uid {
		t.Error("restarted without a change of members")
	}
	scaleTo(5)(w)
	w.rest().wantPods("worker-0 worker-1 worker-2 worker-3 worker-4")
	if w.find("worker-0").UID == uid {
		t.Error("worker-0 still has the old range")
	}
	const want = "PyTorchJob job is restarting because its range of Workers has changed to 1:6, which they learn when they start."
	if c := condition(&w.Job.Status, v1.JobRestarting); c == nil || c.Message != want {
		t.Errorf("conditions %+v, want %q", w.Job.Status.Conditions, want)
	}
}

// TestRangeGoesBeforeMaxResizes: a job of which fewer Workers are run than its range allows has a gang that is
// never complete, so the range is kept to also after the last resize, and the floor in the cool-down as well.
func TestRangeGoesBeforeMaxResizes(t *testing.T) {
	w := running(t, elasticJob).edit(annotate(v1.AnnotationMaxResizes, "0"))
	scaleTo(3)(w)
	w.rest().wantPods("worker-0 worker-1")
	set := func(least, most int32) {
		w.edit(func(j *v1.PyTorchJob) {
			j.Spec.ElasticPolicy.MinReplicas, j.Spec.ElasticPolicy.MaxReplicas = &least, &most
		}).rest().run().rest()
	}
	set(2, 6)
	w.wantPods("worker-0 worker-1")
	set(4, 6)
	w.wantPods("worker-0 worker-1 worker-2 worker-3").wantState("Running")
	if w.PodGroup.Spec.MinMember != 4 {
		t.Errorf("%d Workers are needed", w.PodGroup.Spec.MinMember)
	}
	if c := condition(&w.Job.Status, conditionScaleClamped); c == nil || c.Reason != "OutOfRange" {
		t.Errorf("ScaleClamped: %+v, want OutOfRange", c)
	}
	w.edit(annotate(v1.AnnotationResizeCooldown, "1h"))
	set(5, 6)
	w.wantPods("worker-0 worker-1 worker-2 worker-3 worker-4").wantState("Running")
	set(1, 2)
	w.wantPods("worker-0 worker-1 worker-2 worker-3 worker-4") // too many hurt nobody for a while
	w.wait(time.Hour).rest().wantPods("worker-0 worker-1")
	scaleTo(1)(w)
	w.rest().wantPods("worker-0 worker-1")
	if c := condition(&w.Job.Status, conditionScaleClamped); c == nil || c.Reason != "MaxResizes" {
		t.Errorf("ScaleClamped: %+v, want MaxResizes", c)
	}
}

// TestRangeChangedAndWorkerLost: a Worker that is replaced after the range has changed is a change of members
// as well. It would know another range than its peers.
func TestRangeChangedAndWorkerLost(t *testing.T) {
	wide := func(j *v1.PyTorchJob) { j.Spec.ElasticPolicy.MaxReplicas = new(int32(6)) }
	threeWorkers := strings.Replace(elasticJob, "replicas: 2", "replicas: 3", 1)
	for name, happens := range map[string]func(*world){
		"killed":  func(w *world) { w.edit(wide).rest().exit("worker-2", 137) },
		"deleted": func(w *world) { w.edit(wide).rest().vanish("worker-2") },
		"unseen":  func(w *world) { w.edit(wide).rest().vanish("worker-2").restarted() },
		"changed while it was replaced": func(w *world) {
			w.crashAfter = 2 // the status, and the old pod
			w.exit("worker-2", 137).look().edit(wide)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := running(t, threeWorkers)
			uid := w.find("worker-1").UID
			happens(w)
			w.rest().run().rest().wantState("Running").wantPods("worker-0 worker-1 worker-2")
			for _, name := range []string{"worker-0", "worker-1", "worker-2"} {
				if got := envOf(w.find(name))["PET_NNODES"]; got != "1:6" {
					t.Errorf("%s knows the range %s, want 1:6", name, got)
				}
			}
			if w.find("worker-1").UID == uid || w.restarts() > 1 {
				t.Errorf("worker-1 is as old as before, or %d restarts were counted", w.restarts())
			}
			uid = w.find("worker-1").UID
			if w.exit("worker-2", 137).rest().run().rest(); w.find("worker-1").UID != uid {
				t.Error("restarted again, though all know the range")
			}
		})
	}
	t.Run("while the gang waits", func(t *testing.T) {
		w := newWorld(t, parseJob(t, threeWorkers)).rest().edit(wide).rest().vanish("worker-2")
		w.rest().run().rest().wantState("Running")
		for _, name := range []string{"worker-0", "worker-1", "worker-2"} {
			if got := envOf(w.find(name))["PET_NNODES"]; got != "1:6" {
				t.Errorf("%s knows the range %s, want 1:6", name, got)
			}
		}
	})
}

// TestGrowthIsNoLoss: a controller that ends while a job grows leaves Workers to be made; none was lost.
func TestGrowthIsNoLoss(t *testing.T) {
	w := running(t, elasticJob)
	scaleTo(4)(w)
	for _, writes := range []int{1, 2, 4} { // the status; a Service; both, and a pod
		w.crashAfter = writes
		w.look().restarted()
	}
	w.rest().wantState("Running").run().rest().wantState("Running").wantPods("worker-0 worker-1 worker-2 worker-3")
	if w.told(reasonRestarting) != 0 || w.told(reasonRunning) != 1 || w.Job.Status.Progress.Incident != nil {
		t.Errorf("events %v, incident %+v", w.heard, w.Job.Status.Progress.Incident)
	}
	w.vanish("worker-3").restarted().rest().wantState("Restarting") // this one was there
}

// TestHPA: as long as the metrics and the job are there, unless another scales the job (E22, D10).
func TestHPA(t *testing.T) {
	metric := autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
		Name: "cpu", Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(int32(80))}}}
	set := func(metrics ...autoscalingv2.MetricSpec) func(*v1.PyTorchJob) {
		return func(j *v1.PyTorchJob) { j.Spec.ElasticPolicy.Metrics = metrics }
	}
	w := running(t, elasticJob).edit(set(metric)).rest()
	if w.HPA == nil || w.HPA.Spec.MaxReplicas != 4 || w.HPA.Spec.ScaleTargetRef.Name != "job" {
		t.Fatalf("HPA: %+v", w.HPA)
	}
	w.edit(func(j *v1.PyTorchJob) { j.Spec.ElasticPolicy.MaxReplicas = new(int32(5)) }).rest()
	if w.HPA.Spec.MaxReplicas != 5 {
		t.Error("the range did not follow")
	}
	w.Rival = "keda-hpa-job"
	if w.rest(); w.HPA != nil || w.told("AutoscalerConflict") != 1 {
		t.Errorf("two writers; events %v", w.heard)
	}
	w.Rival = ""
	if w.rest(); w.HPA == nil {
		t.Error("no HPA after the other left")
	}
	w.edit(set()).rest()
	if w.HPA != nil {
		t.Error("the HPA outlives its metrics")
	}
	w.edit(set(metric)).rest().exit("worker-0", 0).rest()
	if w.HPA != nil {
		t.Error("the HPA outlives the job")
	}
}

// TestGrowWhileLeaving: a Worker that is wanted again while it leaves is replaced, and is
// no loss: nothing restarts.
func TestGrowWhileLeaving(t *testing.T) {
	w := running(t, elasticJob)
	leaving := w.find("worker-1")
	scaleTo(1)(w)
	w.look()
	w.Pods = append(w.Pods, leaving)
	w.terminate("worker-1", 60)
	scaleTo(2)(w)
	w.look().wantState("Running")
	w.Pods = without(w.Pods, leaving)
	w.rest().wantState("Running").wantPods("worker-0 worker-1")
	if w.told(reasonRestarting) != 0 {
		t.Errorf("events: %v", w.heard)
	}
}

// preempt begins the eviction of pods by the scheduler, for a gang that needs their room.
func (w *world) preempt(names ...string) *world {
	w.t.Helper()
	for _, name := range names {
		w.terminate(name, 60).change(name, func(pod *corev1.Pod) {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget,
				Status: corev1.ConditionTrue, Reason: corev1.PodReasonPreemptionByScheduler, Message: "room for team/high"})
		})
	}
	return w
}

// bind gives every pod a node.
func (w *world) bind() *world {
	for _, pod := range w.Pods {
		w.change(strings.TrimPrefix(pod.Name, "job-"), func(pod *corev1.Pod) { pod.Spec.NodeName = "n" })
	}
	return w
}

// TestYield: what is above the floor gives way one by one, and comes back after a while (E25).
func TestYield(t *testing.T) {
	w := running(t, `{spec: {elasticPolicy: {minReplicas: 2, maxReplicas: 4}, pytorchReplicaSpecs: {Worker: {replicas: 4}}}}`).bind()
	survivors := []any{w.find("worker-0").UID, w.find("worker-1").UID}
	for _, step := range []struct {
		leaves string
		left   int32
	}{{"worker-3", 3}, {"worker-2", 2}} {
		w.preempt(step.leaves).look().wantState("Running").exit(step.leaves, 1).look().wantState("Running")
		w.vanish(step.leaves).rest().wantState("Running")
		if got := *w.Job.Status.Progress.Workers; got != step.left || w.Job.Status.Progress.Resizes != 0 {
			t.Errorf("%d Workers after %s gave way, %d resizes", got, step.leaves, w.Job.Status.Progress.Resizes)
		}
	}
	w.wantPods("worker-0 worker-1")
	c := condition(&w.Job.Status, conditionScaleClamped)
	if c == nil || c.Reason != "CapacityShrunk" || !strings.Contains(c.Message, "Worker.replicas is 4: 2 are run, because job-worker-2 gave way: room for team/high") {
		t.Errorf("conditions %+v", w.Job.Status.Conditions)
	}
	if *w.Job.Spec.PyTorchReplicaSpecs[v1.Worker].Replicas != 4 || w.restarts() != 0 || w.told(reasonRestarting) != 0 {
		t.Errorf("events %v", w.heard)
	}
	w.Now = w.Job.Status.Progress.Granted.Since.Add(regrowAfter)
	w.lookNow().rest().wantPods("worker-0 worker-1 worker-2 worker-3")
	if w.Job.Status.Progress.Granted != nil || condition(&w.Job.Status, conditionScaleClamped) != nil {
		t.Errorf("still limited: %+v", w.Job.Status.Progress.Granted)
	}
	if survivors[0] != w.find("worker-0").UID || survivors[1] != w.find("worker-1").UID {
		t.Error("survivors were touched")
	}
	// Below the floor there is no smaller job: all of it goes, and comes back whole.
	w.run().bind().rest().preempt("worker-0", "worker-1", "worker-2", "worker-3").look()
	for _, name := range []string{"worker-0", "worker-1", "worker-2", "worker-3"} {
		w.vanish(name)
	}
	w.rest().wantState("Restarting").wantPods("worker-0 worker-1 worker-2 worker-3")
	if w.restarts() != 0 {
		t.Errorf("%d restarts counted", w.restarts())
	}
}

// TestYieldBeforeASuspension: who had to give way before the job was suspended is wanted again.
func TestYieldBeforeASuspension(t *testing.T) {
	w := running(t, elasticJob).bind().preempt("worker-1")
	leaving := w.find("worker-1")
	suspendTo(true)(w)
	w.look().wantState("Suspended")
	w.Pods = append(w.Pods, leaving)
	suspendTo(false)(w)
	w.look().wantState("Created").vanish("worker-1").rest().wantPods("worker-0 worker-1")
}

// TestYieldBelowTheRange: who raises the range above what was left has the whole of it again.
func TestYieldBelowTheRange(t *testing.T) {
	w := running(t, `{spec: {elasticPolicy: {minReplicas: 1, maxReplicas: 4}, pytorchReplicaSpecs: {Worker: {replicas: 4}}}}`).bind()
	w.preempt("worker-2", "worker-3").look().vanish("worker-2").vanish("worker-3").rest().wantPods("worker-0 worker-1")
	w.edit(func(j *v1.PyTorchJob) { j.Spec.ElasticPolicy.MinReplicas = new(int32(3)) })
	w.rest().wantPods("worker-0 worker-1 worker-2 worker-3")
}

// TestYieldToAllowedSize: where the number that is left is not allowed, the next below is run.
func TestYieldToAllowedSize(t *testing.T) {
	w := running(t, `{metadata: {annotations: {lockstep.dev/world-size-step: "2"}}, spec: {elasticPolicy: {minReplicas: 2, maxReplicas: 4},
		pytorchReplicaSpecs: {Worker: {replicas: 4}}}}`).bind()
	w.preempt("worker-3").look().vanish("worker-3").rest().wantPods("worker-0 worker-1")
}

// TestDrainIsNoYield: a machine that is emptied takes nobody's room; the Worker is wanted elsewhere.
func TestDrainIsNoYield(t *testing.T) {
	w := running(t, elasticJob).bind()
	w.change("worker-1", evict).vanish("worker-1").rest().wantPods("worker-0 worker-1")
	if w.Job.Status.Progress.Granted != nil {
		t.Errorf("limited: %+v", w.Job.Status.Progress.Granted)
	}
}
