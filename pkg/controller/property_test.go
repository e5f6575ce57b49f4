package controller

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// TestAnyLife: whatever happens to a job in whatever order, with crashes of the
// controller in the middle of its writes, in the end it is finished for good or runs
// whole, and nothing is counted that did not happen.
func TestAnyLife(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t, parseJob(t, drawJob(r)))
		deaths, ended := 0, v1.JobConditionType("")
		r.Repeat(map[string]func(*rapid.T){
			"look":  func(*rapid.T) { w.look() },
			"crash": func(r *rapid.T) { w.crashAfter = rapid.IntRange(1, 8).Draw(r, "writes"); w.look() },
			"wait":  func(r *rapid.T) { w.wait(time.Duration(rapid.IntRange(1, 90).Draw(r, "seconds")) * time.Second) },
			"run": func(r *rapid.T) {
				if name := drawPod(r, w, corev1.PodPending); name != "" {
					w.run(name)
				}
			},
			"exit": func(r *rapid.T) {
				if name := drawPod(r, w, corev1.PodRunning); name != "" {
					code := rapid.SampledFrom([]int32{0, 1, 2, 137, 143}).Draw(r, "code")
					w.exit(name, code)
					deaths++
				}
			},
			"evict": func(r *rapid.T) {
				if name := drawPod(r, w, corev1.PodRunning); name != "" {
					w.exit(name, 1).change(name, evict)
				}
			},
			"vanish": func(r *rapid.T) {
				if name := drawPod(r, w, ""); name != "" {
					w.vanish(name)
				}
			},
			"terminate": func(r *rapid.T) {
				if name := drawPod(r, w, corev1.PodRunning); name != "" && w.find(name).DeletionTimestamp == nil {
					w.terminate(name, 30)
				}
			},
			"preempt": func(r *rapid.T) {
				if name := drawPod(r, w, corev1.PodRunning); name != "" && w.find(name).DeletionTimestamp == nil {
					w.bind().preempt(name)
				}
			},
			"restart": func(*rapid.T) { w.restarted() },
			"missed suspension": func(r *rapid.T) {
				suspendTo(true)(w)
				w.edit(func(j *v1.PyTorchJob) {
					j.Spec.PyTorchReplicaSpecs[v1.Worker].Template.Spec.Containers[0].Image = rapid.SampledFrom([]string{"train:1", "train:2"}).Draw(r, "image")
				})
				suspendTo(false)(w)
			},
			"suspend": func(r *rapid.T) { suspendTo(rapid.Bool().Draw(r, "suspend"))(w) },
			"scale": func(r *rapid.T) {
				if w.Job.Spec.ElasticPolicy != nil {
					scaleTo(rapid.Int32Range(1, 6).Draw(r, "workers"))(w)
				}
			},
			"range": func(r *rapid.T) {
				if w.Job.Spec.ElasticPolicy != nil {
					w.edit(func(j *v1.PyTorchJob) { j.Spec.ElasticPolicy.MaxReplicas = new(rapid.Int32Range(2, 6).Draw(r, "max")) })
				}
			},
			"": func(r *rapid.T) {
				if ended != "" && w.state() != string(ended) {
					r.Fatalf("the job was %s and is %s", ended, w.state())
				}
				if finished(&w.Job.Status) {
					ended = v1.JobConditionType(w.state())
				}
				if int(w.restarts()) > deaths {
					r.Fatalf("%d restarts counted, %d programs have failed", w.restarts(), deaths)
				}
			},
		})
		calm(r, w)
	})
}

func drawJob(r *rapid.T) string {
	policy := rapid.SampledFrom([]string{"Always", "OnFailure", "Never", "ExitCode"}).Draw(r, "policy")
	clean := rapid.SampledFrom([]string{"All", "Running", "None"}).Draw(r, "clean")
	worker := `Worker: {replicas: 3, restartPolicy: ` + policy + `}`
	return `{spec: {runPolicy: {cleanPodPolicy: ` + clean + `}, ` + rapid.SampledFrom([]string{
		`pytorchReplicaSpecs: {Master: {restartPolicy: ` + policy + `}, ` + worker + `}`,
		`pytorchReplicaSpecs: {` + worker + `}`,
		`elasticPolicy: {minReplicas: 2, maxReplicas: 4}, pytorchReplicaSpecs: {` + worker + `}`,
	}).Draw(r, "shape") + `}}`
}

// drawPod draws one of the pods in a phase; empty: in any.
func drawPod(r *rapid.T, w *world, phase corev1.PodPhase) string {
	var names []string
	for _, pod := range w.Pods {
		if phase == "" || pod.Status.Phase == phase {
			names = append(names, strings.TrimPrefix(pod.Name, w.Job.Name+"-"))
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return rapid.SampledFrom(names).Draw(r, "pod")
}

// calm lets everything that is under way end, and then looks at what has become of the job.
func calm(r *rapid.T, w *world) {
	suspendTo(false)(w)
	for range 10 {
		for _, pod := range slices.Clone(w.Pods) {
			if pod.DeletionTimestamp != nil {
				w.vanish(pod.Name)
			}
		}
		w.rest().run()
	}
	w.rest()
	switch state := w.state(); {
	case finished(&w.Job.Status):
		if w.PodGroup != nil {
			r.Fatalf("a job that has %s still has its PodGroup", state)
		}
	case state != "Running":
		r.Fatalf("the job is %s at the end, with pods %s; status %+v %+v", state, w.pods(), w.Job.Status, w.Job.Status.Progress)
	default:
		p := newPass(w.Observed, w.settings)
		p.enroll()
		ranges := map[string]bool{}
		for _, m := range p.members {
			if m.pod != nil && m.role == v1.Worker && m.pod.Status.Phase == corev1.PodRunning {
				ranges[envOf(m.pod)[nnodes]] = true
			}
		}
		if len(ranges) > 1 {
			r.Fatalf("Workers that know different ranges: %v", ranges)
		}
		for _, m := range p.members {
			if !p.completed.has(m.role, m.index) && (m.pod == nil || m.pod.Status.Phase != corev1.PodRunning) {
				r.Fatalf("%s does not run; pods: %s", m.name, w.pods())
			}
			if template := w.Job.Spec.PyTorchReplicaSpecs[m.role].Template; m.pod != nil && m.pod.Spec.Containers[0].Image != template.Spec.Containers[0].Image {
				r.Fatalf("%s is of an older template", m.name)
			}
		}
		if len(p.surplus) > 0 || len(w.Services) != len(p.members) || w.PodGroup == nil {
			r.Fatalf("surplus %d, services %s", len(p.surplus), w.services())
		}
	}
}

// FuzzDecide: whatever decodes as a job is decided on without a panic, and what has been
// decided is decided again.
func FuzzDecide(f *testing.F) {
	for _, text := range []string{masterAndWorkers("ExitCode"), elasticJob, `{spec: {pytorchReplicaSpecs: {Worker: null}}}`} {
		raw, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(raw))
		job := &v1.PyTorchJob{}
		if json.Unmarshal(raw, job) != nil || job.Spec.PyTorchReplicaSpecs[v1.Worker] == nil {
			continue
		}
		w := newWorld(f, parseJob(f, text)).look().run().look()
		w.exit("worker-1", 137).look()
		stored, err := json.Marshal(w.Job)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(stored))
	}
	f.Fuzz(func(t *testing.T, text string) {
		job := &v1.PyTorchJob{}
		if json.Unmarshal([]byte(text), job) != nil {
			return
		}
		o := Observed{Job: job, Now: time.Unix(1e9, 0)}
		settings := DefaultSettings()
		settings.MaxGangSize = 8
		plan := Decide(o, settings)
		for _, object := range plan.Create {
			if pod, ok := object.(*corev1.Pod); ok {
				pod.Status.Phase = corev1.PodFailed
				o.Pods = append(o.Pods, pod)
			}
		}
		if plan.Status != nil {
			o.Job = job.DeepCopy()
			o.Job.Status = *plan.Status
		}
		Decide(o, settings)
	})
}
