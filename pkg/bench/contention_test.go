package bench

import (
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func second(n float64) time.Time { return noon.Add(time.Duration(n * float64(time.Second))) }

func TestIdleSeconds(t *testing.T) {
	uses := []use{
		{second(-5), 3}, // of 4, before it begins
		{second(2), -1}, {second(3), 1}, {second(6), -3}, {second(8), 4},
		{second(11), -4}, // after the end
	}
	if got := idleSeconds(uses, 4, second(0), second(10)); got != 1*2+2*1+1*3+4*2 {
		t.Errorf("%v GPU-seconds idle, want 15", got)
	}
}

// One node has two of its GPUs free at once, and the third after 4 seconds; of another
// all come free by 9.
func TestDrainSeconds(t *testing.T) {
	var small []tenure
	for i := range 8 {
		small = append(small, tenure{"node-0001", second(-20), second(float64(i + 2))}) // 2 to 9
		if i < 6 {
			small = append(small, tenure{"node-0000", second(-20), second(float64(4 + 10*i))})
		}
	}
	small = append(small,
		tenure{"node-0000", second(-30), second(-1)},  // over
		tenure{"node-0000", second(1), second(100)},   // came later
		tenure{"node-0002", second(-20), time.Time{}}) // has not ended
	for _, test := range []struct {
		places map[string]int
		gpus   int
		want   float64
	}{
		{map[string]int{"node-0000": 2}, 1, 0},
		{map[string]int{"node-0000": 3}, 1, 4},
		{map[string]int{"node-0000": 1, "node-0001": 1}, 8, 54},
		{map[string]int{"node-0001": 1}, 8, 9},
	} {
		if got := drainSeconds(small, test.places, test.gpus, noon); got != test.want {
			t.Errorf("%v with %d GPUs each: %v seconds, want %v", test.places, test.gpus, got, test.want)
		}
	}
	if got := leastDrainSeconds(small[:14], 2, load{Shape: Shape{1, 4}, gpus: 1}, noon); got != 3 {
		t.Errorf("any 4 GPUs are free after %v seconds, want 3", got)
	}
	if got := leastDrainSeconds(small[:14], 2, load{Shape: Shape{1, 1}, gpus: 8}, noon); got != 9 {
		t.Errorf("any node is free after %v seconds, want 9", got)
	}
}

// Tenants leave no GPU free, none is on more than there is, and some are elastic.
func TestTenantsFillTheStage(t *testing.T) {
	elastic := 0
	for seed := range int64(20) {
		free := make([]int, 32)
		for _, y := range tenants(len(free), seed) {
			if y.floor < len(y.nodes) {
				elastic++
			}
			for _, node := range y.nodes {
				free[node] += y.gpus
			}
		}
		for node, taken := range free {
			if taken != gpusPerNode {
				t.Fatalf("seed %d: %d of %d GPUs of node %d are taken", seed, taken, gpusPerNode, node)
			}
		}
	}
	if elastic == 0 {
		t.Error("no tenant is elastic")
	}
}

// Two nodes: a gang of two lies across both, four single pods are on the first with it,
// one on the second. A node comes free by the end of the gang and four pods, or of the
// gang and one; a surplus costs no end; the second of two gangs needs only what the first
// one has left it without.
func TestFewest(t *testing.T) {
	single := func(node, gpus int) tenant { return tenant{gpus: gpus, floor: 1, nodes: []int{node}} }
	for _, test := range []struct {
		name  string
		floor int // of the gang across
		load  load
		want  int
	}{
		{"rigid", 2, load{Shape: Shape{1, 1}, gpus: 8}, 2},
		{"with a surplus", 1, load{Shape: Shape{1, 1}, gpus: 8}, 1},
		{"both nodes, one after the other", 2, load{Shape: Shape{2, 1}, gpus: 8}, 6},
		{"the cheapest for each of two", 2, load{Shape: Shape{2, 1}, gpus: 4}, 2},
	} {
		list := []tenant{
			{name: "across", gpus: 4, floor: test.floor, nodes: []int{0, 1}},
			single(0, 1), single(0, 1), single(0, 1), single(0, 1), single(1, 4),
		}
		if got, exact, err := fewest(list, 2, test.load); err != nil || !exact || got != test.want {
			t.Errorf("%s: %d have to end (exact: %v, %v), want %d", test.name, got, exact, err, test.want)
		}
	}
	if _, _, err := fewest([]tenant{single(0, 8)}, 1, load{Shape: Shape{1, 2}, gpus: 8}); err == nil {
		t.Error("two nodes are to come free of one")
	}
}

func TestWhoIsLeftInPart(t *testing.T) {
	list := []tenant{{floor: 2}, {floor: 2}, {floor: 1}, {floor: 3}}
	before := [][]int{{0, 1}, {0, 1}, {0, 1}, {0}} // the last one was in part already
	after := [][]int{{0}, {}, {0}, {0}}
	if got := endings(list, before, after); got != 2 {
		t.Errorf("%d have ended, want the first two", got)
	}
	if got := inPart(list, after); got != 2 {
		t.Errorf("%d are there in part, want the first and the last", got)
	}
}

// What is shipped with other arguments is otherwise what is shipped.
func TestShippedWith(t *testing.T) {
	plain, err := shippedWith()
	if err != nil {
		t.Fatal(err)
	}
	with, err := shippedWith(map[string]any{"reserveAfterSeconds": 5, "disablePreemption": true}, map[string]any{"reserveAfterSeconds": 0})
	if err != nil {
		t.Fatal(err)
	}
	lines := "          disablePreemption: true\n          reserveAfterSeconds: 0\n"
	if strings.Replace(string(with), lines, "", 1) != string(plain) || string(with) == string(plain) {
		t.Errorf("got\n%s", with)
	}
}

// What an eviction costs is what the evicted have run for, and for an ended gang the
// rest of it.
func TestToll(t *testing.T) {
	hour := tenant{name: "a", gpus: 2, floor: 2, nodes: []int{0, 1}, age: time.Hour}
	surplus := tenant{name: "b", gpus: 1, floor: 1, nodes: []int{0, 1}, age: time.Hour}
	y := &tenancy{list: []tenant{hour, surplus}, started: noon, evicted: map[string]time.Time{"a-0": noon, "b-1": second(3600)}}
	if pods, evicted, lost := y.toll(); pods != 2 || evicted != 3600*(2+2) || lost != 3600*(2+2+2) {
		t.Errorf("%d pods, %v and %v GPU-seconds; want 2, 4 hours and 6", pods, evicted, lost)
	}
}
