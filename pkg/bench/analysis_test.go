package bench

import (
	"math"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/pkg/devcluster"
)

// Two racks have 128 free GPUs each, one has 60: four gangs of 64 can be in a rack
// each, the fifth needs two.
func TestRackBounds(t *testing.T) {
	var free []int
	for range 2 * rackSize {
		free = append(free, 8)
	}
	for range rackSize {
		free = append(free, 4)
	}
	free[len(free)-1] = 0
	c := localityCase{Shape: Shape{5, 64}}
	if most, least := rackBounds(free, c); most != 4 || least != 6 {
		t.Errorf("at most %d gangs and at least %d racks; want 4, because there are 316 GPUs, and 6", most, least)
	}
	c.Gangs, c.Size, c.required = 5, 60, "rack"
	if most, least := rackBounds(free, c); most != 5 || least != 5 {
		t.Errorf("at most %d gangs and at least %d racks; want 5 and 5", most, least)
	}
}

func TestFewestNodes(t *testing.T) {
	free := make([]int, 2*rackSize)
	for i := range rackSize {
		free[i] = 4 // 64 in the rack, on all 16 nodes
	}
	free[rackSize], free[rackSize+1] = 8, 3
	for size, want := range map[int]int{4: 1, 5: 1, 9: 2, 11: 2, 12: 3, 64: 16, 65: 0} {
		if got := fewestNodes(free, size); got != want {
			t.Errorf("%d pods: %d nodes, want %d", size, got, want)
		}
	}
}

// What the planner does alone is judged by the bounds, and never better than they are.
func TestLocalityOfThePlanner(t *testing.T) {
	for _, c := range localityCases() {
		report := &Report{}
		report.locality(c, 400, 1)
		values := map[string]float64{}
		for _, run := range report.Runs {
			values[run.Metric] = run.Value
		}
		if values["gangs_whole"] > values["gangs_whole_at_most"] || values["gangs_whole"] == 0 {
			t.Errorf("%s: %v gangs of at most %v", c.name, values["gangs_whole"], values["gangs_whole_at_most"])
		}
		for _, metric := range []string{"racks_over_least", "nodes_over_fewest"} {
			if v, there := values[metric]; there && v < 1 {
				t.Errorf("%s: %s is %v", c.name, metric, v)
			}
		}
	}
}

func TestExponents(t *testing.T) {
	var timings []timing
	for _, n := range []int{100, 1000, 5000} {
		for _, p := range []int{8, 64, 512} {
			if p < 4*n {
				timings = append(timings, timing{n, p, 3e-6 * math.Pow(float64(n), 0.7) * math.Sqrt(float64(p))})
			}
		}
	}
	byNodes, byPods := exponents(timings)
	if math.Abs(byNodes-0.7) > 1e-9 || math.Abs(byPods-0.5) > 1e-9 {
		t.Errorf("exponents %v and %v, want 0.7 and 0.5", byNodes, byPods)
	}
}

// Three gangs of two: one comes whole before another begins, two are there in part
// at once, and one of them for good.
func TestDeadlockIsSeen(t *testing.T) {
	start := time.Unix(0, 0)
	values := map[string]float64{}
	tn := &turn{
		stage: &stage{}, created: map[string]time.Time{}, bound: map[string]binding{},
		record: func(metric string, value float64) { values[metric] = value },
	}
	for second, p := range []place{{0, 0}, {0, 1}, {1, 0}, {2, 1}, {1, 1}} {
		tn.bound[podName(p.gang, p.member)] = binding{"n", start.Add(time.Duration(second) * time.Second)}
	}
	tn.recordDeadlock(load{Shape: Shape{3, 2}}, start, start.Add(10*time.Second))
	for metric, want := range map[string]float64{
		"gangs_whole": 2, "gangs_partial": 1, "gangs_partial_at_most": 2, "longest_partial_seconds": 7, "quiet_after_seconds": 4,
	} {
		if values[metric] != want {
			t.Errorf("%s is %v, want %v", metric, values[metric], want)
		}
	}
}

func TestUnknownPeer(t *testing.T) {
	if _, err := contestants([]string{Ceiling, "volcano"}); err == nil || !strings.Contains(err.Error(), `"volcano"`) {
		t.Errorf("error %v does not name it", err)
	}
	for _, s := range Scenarios() {
		for _, settings := range []Settings{s.Defaults, s.Quick} {
			if _, err := contestants(settings.Peers); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
	}
}

// What does not fit on the nodes is refused before anything is started.
func TestLoadThatDoesNotFitStartsNothing(t *testing.T) {
	t.Setenv(devcluster.BinDirEnv, t.TempDir()) // nothing can be
	for _, name := range []string{"gang", "latency", "singles", "starvation", "preemption"} {
		scenario, _ := Find(name)
		_, err := scenario.Measure(t.Context(), Settings{Nodes: 1, Shapes: []Shape{{1, 1}, {9, 1}}, GPUs: 1})
		if err == nil || !strings.Contains(err.Error(), "9 gangs of 1 pods with 1 GPUs do not fit on 1 nodes of 8 GPUs") {
			t.Errorf("%s: error %v does not say it", name, err)
		}
	}
	recovery, _ := Find("recovery")
	if _, err := recovery.Measure(t.Context(), Settings{Nodes: 1, Shapes: []Shape{{1, 1}}, Quick: true}); err == nil ||
		!strings.Contains(err.Error(), "10 gangs of 8 pods with 1 GPUs do not fit on 1 nodes of 8 GPUs") {
		t.Errorf("recovery: error %v does not say it", err)
	}
}

// A gang is passed on with its last pod, whatever came in between.
func TestWholeGangs(t *testing.T) {
	var passed []string
	seen := wholeGangs(func(pod *v1.Pod) { passed = append(passed, pod.Name) })
	for _, name := range []string{"a-0", "b-0", "a-1", "b-1", "a-2"} {
		gang := name[:1]
		size := map[string]string{"a": "3", "b": "2"}[gang]
		seen(&v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{gangAnnotation: gang, sizeAnnotation: size}}})
	}
	if got := strings.Join(passed, " "); got != "b-0 b-1 a-0 a-1 a-2" {
		t.Errorf("passed on: %s", got)
	}
}
