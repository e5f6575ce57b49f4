package quota

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/cluster"
)

const gpu = cluster.Pods + 1

func gpus(n int64) cluster.Resources { return cluster.Resources{}.Set(gpu, n) }

func capped(n int64) map[int]int64 { return map[int]int64{gpu: n} }

var morning = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)

// held is a gang that started the given number of minutes after the morning.
func held(id, queue string, n int64, priority int32, minutes int) Holder {
	return Holder{ID: id, Queue: queue, Amounts: gpus(n), Priority: priority, Since: morning.Add(time.Duration(minutes) * time.Minute)}
}

// company is research with two teams, and production, on 64 GPUs.
func company(t *testing.T) *Tree {
	t.Helper()
	tree, faults := New([]Queue{
		{Name: "research", Guaranteed: gpus(32), Cap: capped(48)},
		{Name: "vision", Parent: "research", Namespaces: []string{"vision"}, Guaranteed: gpus(24)},
		{Name: "speech", Parent: "research", Namespaces: []string{"speech"}, Guaranteed: gpus(8), Cap: capped(16)},
		{Name: "production", Namespaces: []string{"serving", "batch"}, Guaranteed: gpus(32)},
		{Name: "night", Namespaces: []string{"batch"}, Weight: 3},
	})
	if len(faults) != 1 || faults[0].Queue != "production" {
		t.Fatalf("faults %+v, want that namespace batch is in two queues", faults)
	}
	return tree
}

func TestQueueOfAGang(t *testing.T) {
	tree := company(t)
	for _, tt := range []struct {
		namespace, named, want string
		ok                     bool
	}{
		{"vision", "", "vision", true},
		{"vision", "vision", "vision", true},
		{"vision", "speech", "speech", false}, // not theirs
		{"batch", "", "night", true},          // the first by name
		{"batch", "production", "production", true},
		{"elsewhere", "", Nobody, true},
		{"vision", "no-such-queue", "no-such-queue", false},
	} {
		if got, ok := tree.Of(tt.namespace, tt.named); got != tt.want || ok != tt.ok {
			t.Errorf("namespace %s naming %q: queue %q, %t; want %q, %t", tt.namespace, tt.named, got, ok, tt.want, tt.ok)
		}
	}
}

func TestAdmission(t *testing.T) {
	tree := company(t)
	u := tree.Usage([]Holder{held("a", "vision", 30, 0, 0), held("b", "speech", 12, 0, 0)}, gpus(64))
	for _, tt := range []struct {
		queue string
		asked int64
		want  Refusal
		ok    bool
	}{
		{"speech", 4, Refusal{}, true},
		{"speech", 5, Refusal{"speech", gpu, 16, 12, 5}, false},
		{"vision", 6, Refusal{}, true}, // no cap of its own: up to that of research
		{"vision", 7, Refusal{"research", gpu, 48, 42, 7}, false},
		{"production", 1000, Refusal{}, true},
		{Nobody, 1000, Refusal{}, true},
	} {
		if got, ok := u.Admit(tt.queue, gpus(tt.asked)); got != tt.want || ok != tt.ok {
			t.Errorf("%s asks for %d: %+v, %t; want %+v, %t", tt.queue, tt.asked, got, ok, tt.want, tt.ok)
		}
	}
	if got := u.Used("research").Get(gpu); got != 42 {
		t.Errorf("research holds %d GPUs, want 42", got)
	}
}

func TestExceeds(t *testing.T) {
	tree := company(t)
	u := tree.Usage([]Holder{held("a", "vision", 32, 0, 0), held("b", "speech", 17, 0, 0), held("c", "production", 100, 0, 0)}, gpus(64))
	full := tree.Usage([]Holder{held("a", "vision", 32, 0, 0), held("b", "speech", 16, 0, 0)}, gpus(64))
	for _, tt := range []struct {
		usage *Usage
		queue string
		asked cluster.Resources
		want  bool
	}{
		{u, "speech", gpus(1), true},
		{u, "vision", gpus(1), true}, // no cap of its own, but research has 49 of 48
		{u, "vision", cluster.Resources{cluster.CPU: 4000}, false},
		{u, "production", gpus(1), false},
		{u, Nobody, gpus(1), false},
		{full, "speech", gpus(1), false},
		{full, "vision", gpus(1), false},
	} {
		if got := tt.usage.Exceeds(tt.queue, tt.asked); got != tt.want {
			t.Errorf("%s with %v: %t, want %t", tt.queue, tt.asked, got, tt.want)
		}
	}
}

func TestGuarantees(t *testing.T) {
	tree := company(t)
	u := tree.Usage([]Holder{held("a", "vision", 20, 0, 0), held("b", "speech", 10, 0, 0)}, gpus(64))
	for _, tt := range []struct {
		queue string
		asked cluster.Resources
		want  bool
	}{
		{"vision", gpus(2), true},
		{"vision", gpus(4), false}, // its own, but research would have 34 of 32
		{"speech", gpus(1), false},
		{"production", gpus(32), true},
		{"production", gpus(33), false},
		{"night", gpus(1), false},
		{Nobody, gpus(1), false},
		{"production", cluster.Resources{cluster.CPU: 4000}, false}, // CPU is guaranteed to nobody
	} {
		if got := u.Guaranteed(tt.queue, tt.asked); got != tt.want {
			t.Errorf("%s asks for %v: guaranteed %t, want %t", tt.queue, tt.asked, got, tt.want)
		}
	}
}

func TestReclaim(t *testing.T) {
	tree := company(t)
	for _, tt := range []struct {
		name    string
		holders []Holder
		queue   string
		asked   int64
		want    []string
	}{
		{
			"from borrowers in the cluster, the lowest priority and the youngest first, down to their guarantee",
			[]Holder{held("old", "vision", 24, 0, 0), held("young", "vision", 8, 0, 9), held("mid", "vision", 8, 0, 5), held("dear", "vision", 8, 5, 9)},
			"production", 32, []string{"young", "mid"},
		},
		{
			"not from those within theirs", []Holder{held("a", "vision", 24, 0, 0), held("b", "speech", 8, 0, 0)}, "production", 32, nil,
		},
		{
			"not for more than is guaranteed", []Holder{held("a", "night", 60, 0, 0)}, "production", 33, nil,
		},
		{
			"from those without a queue, and without a guarantee",
			[]Holder{held("a", Nobody, 20, 9, 0), held("b", "night", 20, 9, 0), held("c", "production", 24, 0, 0)}, "vision", 8, []string{"a", "b"},
		},
		{
			"within research from speech, though research borrows",
			[]Holder{held("a", "speech", 12, 0, 0), held("b", "vision", 16, 0, 0), held("c", "night", 8, 0, 0)}, "vision", 8, []string{"a"},
		},
		{
			"a gang goes whole, though its queue has less than its guarantee then",
			[]Holder{held("a", "production", 40, 0, 0)}, "vision", 24, []string{"a"},
		},
		{
			"a gang that would take its floor back loses its surplus alone",
			[]Holder{withFloor(held("a", "production", 40, 0, 0), 32)}, "vision", 24, []string{"a but its floor"},
		},
		{
			"a gang whose floor is beyond the guarantee goes whole",
			[]Holder{withFloor(held("a", "production", 40, 0, 0), 33)}, "vision", 24, []string{"a"},
		},
		{
			"of a queue no more goes than it has borrowed, the youngest first",
			[]Holder{withFloor(held("a", "production", 20, 0, 0), 16), withFloor(held("b", "production", 20, 0, 1), 8)}, "vision", 24,
			[]string{"b but its floor"},
		},
		{
			"of those that started together the one that holds the least first",
			[]Holder{held("a", "production", 16, 0, 0), held("b", "production", 8, 0, 0), held("c", "production", 16, 0, 0)}, "vision", 8, []string{"b"},
		},
		{
			"a borrower of other things stays",
			[]Holder{{ID: "cpu", Queue: "night", Amounts: cluster.Resources{cluster.CPU: 64000}}, held("a", "night", 8, 0, 0)}, "vision", 8, []string{"a"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for i, part := range tree.Usage(tt.holders, gpus(64)).Reclaimable(tt.queue, gpus(tt.asked)) {
				switch part {
				case Whole:
					got = append(got, tt.holders[i].ID)
				case Surplus:
					got = append(got, tt.holders[i].ID+" but its floor")
				case Nothing:
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("may go: %v, want %v", got, tt.want)
			}
		})
	}
}

// withFloor is a holder that needs so much to start again.
func withFloor(h Holder, n int64) Holder {
	h.Floor = gpus(n)
	return h
}

// Who borrows takes by its priority what others borrow, and what its own queue holds, but
// not what other queues are guaranteed.
func TestPreemptible(t *testing.T) {
	tree := company(t)
	holders := []Holder{
		withFloor(held("own", "vision", 8, 0, 0), 8), withFloor(held("guaranteed", "production", 32, 0, 0), 32),
		withFloor(held("borrowed", "production", 8, 0, 1), 8), held("nobody's", "", 8, 0, 2),
	}
	u := tree.Usage(holders, gpus(64))
	for _, tt := range []struct {
		queue string
		asked int64
		want  []Portion
	}{
		{"vision", 16, []Portion{Whole, Whole, Whole, Whole}}, // 8 and 16 are guaranteed
		{"vision", 24, []Portion{Whole, Whole, Whole, Whole}}, // research as a whole has 32
		{"vision", 25, []Portion{Whole, Surplus, Whole, Whole}},
		{"", 1, []Portion{Surplus, Surplus, Whole, Whole}},
	} {
		if got := u.Preemptible(tt.queue, gpus(tt.asked), nil); !slices.Equal(got, tt.want) {
			t.Errorf("%d for queue %q: %v, want %v", tt.asked, tt.queue, got, tt.want)
		}
	}

	// Vision is within its 16, but research is not within its 32: speech owes it, and not production.
	lent := []Holder{withFloor(held("speech", "speech", 30, 0, 0), 30), withFloor(held("guaranteed", "production", 32, 0, 0), 32)}
	if got, want := tree.Usage(lent, gpus(64)).Preemptible("vision", gpus(8), nil), []Portion{Whole, Surplus}; !slices.Equal(got, want) {
		t.Errorf("8 for vision, while speech has what research is guaranteed: %v, want %v", got, want)
	}

	// The surplus of one is less than what production has borrowed, and with the other it is more.
	two := []Holder{withFloor(held("one", "production", 20, 0, 1), 20), withFloor(held("two", "production", 20, 0, 0), 4)}
	if got, want := tree.Usage(two, gpus(64)).Preemptible("", gpus(1), nil), []Portion{Surplus, Surplus}; !slices.Equal(got, want) {
		t.Errorf("of two with a surplus: %v, want %v", got, want)
	}

	// Once the large one is gone, the small one, which went before it, is guaranteed its 20.
	both := []Holder{withFloor(held("small", "production", 20, 0, 0), 20), withFloor(held("large", "production", 40, 1, 0), 40)}
	if got, want := tree.Usage(both, gpus(64)).Preemptible("", gpus(1), nil), []Portion{Whole, Surplus}; !slices.Equal(got, want) {
		t.Errorf("of two of whom the first could come back: %v, want %v", got, want)
	}

	// A gang of 40 is more than production is guaranteed, so nobody would miss it; but one
	// of 32 that waits would take the room back.
	one := []Holder{withFloor(held("all", "production", 40, 0, 0), 40)}
	u = tree.Usage(one, gpus(64))
	for floor, want := range map[int64]Portion{32: Surplus, 33: Whole} {
		waits := []Holder{{ID: "waits", Queue: "production", Floor: gpus(floor)}}
		if got := u.Preemptible("", gpus(1), waits); got[0] != want {
			t.Errorf("with %d waiting for production: %v, want %v", floor, got, want)
		}
	}
	elsewhere := []Holder{{ID: "waits", Queue: "vision", Floor: gpus(8)}}
	if got := u.Preemptible("", gpus(1), elsewhere); got[0] != Whole {
		t.Errorf("with 8 waiting for vision, which production does not hold: %v", got)
	}
}

func TestTurns(t *testing.T) {
	tree := company(t)
	u := tree.Usage([]Holder{
		held("a", "vision", 26, 0, 0), held("b", "speech", 14, 0, 0), // research has borrowed 8: 2 and 6
		held("c", "night", 12, 0, 0), // for a weight of 3
	}, gpus(64))
	turns := u.Turns(History{})
	order := []string{Nobody, "production", "night", "research", "vision", "speech"}
	for i, queue := range order[1:] {
		if turns[queue] < turns[order[i]] {
			t.Errorf("%q has turn %d, before %q with %d", queue, turns[queue], order[i], turns[order[i]])
		}
	}
	if turns["night"] >= turns["vision"] || turns["vision"] >= turns["speech"] {
		t.Errorf("turns %v: night borrows least for its weight, then research, of which vision less than speech", turns)
	}
	if got := u.Turn("production", gpus(32), turns); got != 0 {
		t.Errorf("within its guarantee production has turn %d, want 0", got)
	}
	if got := u.Turn("gone", gpus(1), turns); got != turns[Nobody] {
		t.Errorf("a queue that is gone has turn %d, want that of nobody, %d", got, turns[Nobody])
	}
	// Who borrowed much yesterday comes after who borrows a little more now.
	late := History{}.Advance(morning, nil, time.Hour)
	late = late.Advance(morning.Add(3*time.Hour), map[string]int64{"night": one}, time.Hour)
	if turns := u.Turns(late); turns["night"] <= turns["vision"] {
		t.Errorf("turns %v: night has had the whole cluster for three half-lives", turns)
	}
}

func TestFaults(t *testing.T) {
	tree, faults := New([]Queue{
		{Name: "a", Parent: "b"}, {Name: "b", Parent: "c"}, {Name: "c", Parent: "a"},
		{Name: "orphan", Parent: "nowhere", Guaranteed: gpus(-1)},
		{Name: "self", Parent: "self", Guaranteed: gpus(9), Cap: capped(8)},
		{Name: "small", Guaranteed: gpus(8)},
		{Name: "part-1", Parent: "small", Guaranteed: gpus(6)}, {Name: "part-2", Parent: "small", Guaranteed: gpus(6)},
		{Name: "part-2", Parent: "small"}, {Name: ""},
		{Name: "light", Weight: -1, Cap: capped(-5)},
	})
	var got []string
	for _, f := range faults {
		got = append(got, fmt.Sprintf("%s.%s: %s", f.Queue, f.Field, f.Text))
	}
	want := []string{
		".name: a queue needs a name of its own",
		"c.parent: a is a part of c itself; it is taken for a part of the cluster",
		"light.cap: must not be negative", "light.weight: must not be negative",
		"orphan.guaranteed: must not be negative", "orphan.parent: there is no queue nowhere; it is taken for a part of the cluster",
		"part-2.name: a queue needs a name of its own",
		"self.guaranteed: must not be above the cap", "self.parent: self is a part of self itself; it is taken for a part of the cluster",
		"small.guaranteed: its parts (part-1, part-2) together are guaranteed more than it is itself; they get back no more than that",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	// Parts that are promised more than their parent get no more back than that is promised.
	u := tree.Usage([]Holder{held("x", "part-1", 6, 0, 0)}, gpus(64))
	if !u.Guaranteed("part-2", gpus(2)) || u.Guaranteed("part-2", gpus(3)) {
		t.Error("part-2 is guaranteed the two GPUs that part-1 leaves of eight")
	}
	if q, _ := tree.Queue("self"); q.Guaranteed.Get(gpu) != 8 {
		t.Errorf("self is guaranteed %v, want its cap", q.Guaranteed)
	}
}
