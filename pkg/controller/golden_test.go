package controller

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	scheduling "sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
	"sigs.k8s.io/yaml"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// golden is what upstream's reconciler did with a job: what it made of it at first,
// and its status after each step.
type golden struct {
	Input         *v1.PyTorchJob   `json:"input"`
	GangScheduler string           `json:"gangSchedulerName"`
	Generated     []map[string]any `json:"generatedAfterFirstReconcile"`
	Steps         []goldenStep     `json:"steps"`
}

type goldenStep struct {
	Action   string   `json:"action"`
	Events   []string `json:"events"`
	Pods     []string `json:"pods"`
	Services []string `json:"services"`
	HPAs     []string `json:"horizontalPodAutoscalers"`
	Status   any      `json:"status"`
}

// goldenStatus is a status as the files show it.
type goldenStatus struct {
	CompletionTime string                      `json:"completionTime"`
	StartTime      string                      `json:"startTime"`
	State          string                      `json:"printerColumnState"`
	Conditions     []goldenCondition           `json:"conditions"`
	Replicas       map[string]v1.ReplicaStatus `json:"replicaStatuses"`
}

type goldenCondition struct{ Type, Status, Reason, Message string }

const goldenDir = "../../../shared/pytorchjob-golden"

func loadGolden(t *testing.T, name string) golden {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(goldenDir, name+".yaml"))
	if os.IsNotExist(err) {
		t.Skipf("no golden data: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	g := golden{}
	if err := yaml.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// goldenCases: what the test does in each step, and where we must differ from the file.
var goldenCases = []struct {
	name   string
	steps  []func(*world)
	differ map[int]func(*goldenStep, *goldenStatus)
}{{
	name: "01-seed-master-and-workers",
	steps: []func(*world){
		nothing, func(w *world) { w.run("master-0") }, func(w *world) { w.run() },
		func(w *world) { w.exit("master-0", 0) }, nothing,
	},
	differ: map[int]func(*goldenStep, *goldenStatus){
		3: func(_ *goldenStep, s *goldenStatus) { setWorker(s, v1.ReplicaStatus{Active: 3}) },
		4: func(_ *goldenStep, s *goldenStatus) { setWorker(s, v1.ReplicaStatus{Active: 3}) }, // running ones have not succeeded
	},
}, {
	name:  "02-master-only",
	steps: []func(*world){nothing},
}, {
	name: "03-workers-only",
	steps: []func(*world){
		nothing, func(w *world) { w.run("worker-0") }, func(w *world) { w.run() },
		func(w *world) { w.exit("worker-0", 0) },
		func(w *world) { w.exit("worker-1", 0).exit("worker-2", 0) },
	},
}, {
	name: "04-elastic-c10d-hpa",
	steps: []func(*world){
		nothing, func(w *world) { w.run() }, scaleTo(3), func(w *world) { w.run() }, scaleTo(1), nothing,
		func(w *world) { w.exit("worker-0", 0) }, nothing,
	},
	differ: map[int]func(*goldenStep, *goldenStatus){
		4: func(_ *goldenStep, s *goldenStatus) { setWorker(s, v1.ReplicaStatus{Active: 1}) },
		6: func(g *goldenStep, _ *goldenStatus) { g.HPAs = nil },
		7: func(g *goldenStep, _ *goldenStatus) { g.HPAs = nil },
	},
}, {
	name: "05-worker-failure-policies",
	steps: []func(*world){
		nothing, func(w *world) { w.run() },
		func(w *world) { w.exit("worker-1", 137) }, nothing, func(w *world) { w.run() },
		func(w *world) { w.exit("worker-1", 137) }, nothing, func(w *world) { w.run() },
	},
	differ: map[int]func(*goldenStep, *goldenStatus){
		3: stillRestarting, 6: stillRestarting,
	},
}, {
	name:  "06-nproc-int-and-env",
	steps: []func(*world){nothing},
}, {
	name:  "07-workers-port-named",
	steps: []func(*world){nothing},
}, {
	name: "08-suspend-resume",
	steps: []func(*world){
		nothing, func(w *world) { w.run() }, suspendTo(true), nothing, nothing, suspendTo(false), func(w *world) { w.run() },
	},
	differ: map[int]func(*goldenStep, *goldenStatus){
		5: func(_ *goldenStep, s *goldenStatus) { // the last condition is the current state
			s.State = "Created"
			s.Conditions = []goldenCondition{s.Conditions[2], s.Conditions[1], s.Conditions[0]}
		},
	},
}, {
	name: "09-deadline-passed",
	steps: []func(*world){
		nothing, func(w *world) { w.run() }, func(w *world) { w.wait(31 * time.Second) }, nothing,
	},
	differ: map[int]func(*goldenStep, *goldenStatus){
		2: noMaster, 3: noMaster, // a deleted pod is not active
	},
}}

func nothing(*world) {}

func scaleTo(n int32) func(*world) {
	return func(w *world) { w.edit(func(j *v1.PyTorchJob) { j.Spec.PyTorchReplicaSpecs[v1.Worker].Replicas = &n }) }
}

func suspendTo(suspend bool) func(*world) {
	return func(w *world) { w.edit(func(j *v1.PyTorchJob) { j.Spec.RunPolicy.Suspend = &suspend }) }
}

func setWorker(s *goldenStatus, counts v1.ReplicaStatus) {
	counts.Selector = s.Replicas["Worker"].Selector
	if counts.Selector == "" {
		counts.Selector = strings.ReplaceAll(s.Replicas["Master"].Selector, "replica-type=master", "replica-type=worker")
	}
	s.Replicas["Worker"] = counts
}

func noMaster(_ *goldenStep, s *goldenStatus) {
	s.Replicas["Master"] = v1.ReplicaStatus{Selector: s.Replicas["Master"].Selector}
}

// stillRestarting until the new pod runs.
func stillRestarting(_ *goldenStep, s *goldenStatus) {
	s.State = "Restarting"
	s.Conditions[1] = goldenCondition{"Restarting", "True", reasonRestarting,
		"PyTorchJob exitcode is restarting because 1 Worker replica(s) failed."}
}

func TestGolden(t *testing.T) {
	for _, test := range goldenCases {
		t.Run(test.name, func(t *testing.T) {
			g := loadGolden(t, test.name)
			w := newWorld(t, g.Input)
			for i, act := range test.steps {
				step := g.Steps[i]
				act(w)
				w.look()
				if i == 0 {
					compareObjects(t, g, w)
				}
				want := goldenStatus{}
				recode(t, step.Status, &want)
				if differ := test.differ[i]; differ != nil {
					differ(&step, &want)
				}
				compareStep(t, i, step, want, w)
			}
		})
	}
}

func recode(t *testing.T, from, to any) {
	t.Helper()
	text, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func compareStep(t *testing.T, i int, step goldenStep, want goldenStatus, w *world) {
	t.Helper()
	at := fmt.Sprintf("step %d (%s)", i, step.Action)
	if diff := cmp.Diff(want, shown(w.Job.Status)); diff != "" {
		t.Errorf("%s: status: %s", at, diff)
	}
	var pods, services, scalers []string
	for _, pod := range w.Pods {
		pods = append(pods, pod.Name+" "+string(pod.Status.Phase))
	}
	for _, service := range w.Services {
		services = append(services, service.Name)
	}
	if w.HPA != nil {
		scalers = append(scalers, fmt.Sprintf("%s min=%d max=%d", w.HPA.Name, *w.HPA.Spec.MinReplicas, w.HPA.Spec.MaxReplicas))
	}
	for _, pair := range []struct{ what, want, got string }{
		{"pods", sorted(step.Pods), sorted(pods)},
		{"services", sorted(step.Services), sorted(services)},
		{"autoscalers", sorted(step.HPAs), sorted(scalers)},
		{"events", sorted(comparable(step.Events)), sorted(comparable(texts(w.news)))},
	} {
		if pair.want != pair.got {
			t.Errorf("%s: %s:\ngot:  %s\nwant: %s", at, pair.what, pair.got, pair.want)
		}
	}
}

func sorted(lines []string) string {
	lines = slices.Clone(lines)
	slices.Sort(lines)
	return strings.Join(lines, "\n      ")
}

func texts(events []Event) []string {
	var lines []string
	for _, event := range events {
		lines = append(lines, event.Type+" "+event.Reason+" "+event.Message)
	}
	return lines
}

// comparable leaves out what upstream repeats on every pass, what it says twice, and
// what we say besides.
func comparable(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		for _, part := range []string{
			" " + reasonCreated + " ", " " + reasonRunning + " ", " EnvOverridden ", " PodsStillRunning ",
			"JobTerminated", "SuccessfulDeletePodGroup", reasonSuspended, "ExitedWithCode",
			" restarting because Worker replica(s)",
		} {
			if strings.Contains(line, part) {
				return true
			}
		}
		return false
	})
}

func shown(status v1.JobStatus) goldenStatus {
	set := map[bool]string{true: "set", false: "unset"}
	s := goldenStatus{
		CompletionTime: set[status.CompletionTime != nil],
		StartTime:      set[status.StartTime != nil],
		Replicas:       map[string]v1.ReplicaStatus{},
	}
	for _, c := range status.Conditions {
		s.Conditions = append(s.Conditions, goldenCondition{string(c.Type), string(c.Status), c.Reason, c.Message})
		s.State = string(c.Type)
	}
	for role, counts := range status.ReplicaStatuses {
		s.Replicas[string(role)] = *counts
	}
	return s
}

// compareObjects compares what was generated at first.
func compareObjects(t *testing.T, g golden, w *world) {
	t.Helper()
	ours := map[string]client.Object{}
	for _, object := range w.last.Create {
		ours[kindOf(object)+"/"+object.GetName()] = object
	}
	for _, raw := range g.Generated {
		kind := raw["kind"].(string)
		var want client.Object
		switch kind {
		case "Pod":
			want = &corev1.Pod{}
		case "Service":
			want = &corev1.Service{}
		case "PodGroup":
			want = &scheduling.PodGroup{}
		case "HorizontalPodAutoscaler":
			want = &autoscalingv2.HorizontalPodAutoscaler{}
		}
		recode(t, raw, want)
		name := kind + "/" + want.GetName()
		got := ours[name]
		if got == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		delete(ours, name)
		got = got.DeepCopyObject().(client.Object)
		normalise(want, g.GangScheduler)
		normalise(got, g.GangScheduler)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for name := range ours {
		if !strings.HasPrefix(name, "PodGroup/") || g.GangScheduler != "" {
			t.Errorf("%s is not in the file", name)
		}
	}
}

// normalise leaves what the contract compares.
func normalise(object client.Object, gangScheduler string) {
	switch object := object.(type) {
	case *corev1.Pod:
		for i := range object.Spec.Containers {
			object.Spec.Containers[i].Env = effectiveEnv(object.Spec.Containers[i].Env)
		}
		if gangScheduler == "" {
			delete(object.Labels, LabelPodGroup)
			object.Spec.SchedulerName = ""
		}
	case *corev1.Service:
		object.Spec.PublishNotReadyAddresses = false
		slices.SortFunc(object.Spec.Ports, func(a, b corev1.ServicePort) int { return int(a.Port - b.Port) })
	case *scheduling.PodGroup:
		// The files have upstream's floor; ours is checked in TestFloor.
		object.Spec = scheduling.PodGroupSpec{}
	}
}

// effectiveEnv: the last entry of a name wins.
func effectiveEnv(env []corev1.EnvVar) []corev1.EnvVar {
	last := map[string]corev1.EnvVar{}
	for _, variable := range env {
		last[variable.Name] = variable
	}
	var names []string
	for name := range last {
		names = append(names, name)
	}
	slices.Sort(names)
	var effective []corev1.EnvVar
	for _, name := range names {
		effective = append(effective, last[name])
	}
	return effective
}
