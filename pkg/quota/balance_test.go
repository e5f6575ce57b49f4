package quota

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lockstep.dev/lockstep/pkg/cluster"
)

func TestOverdrawn(t *testing.T) {
	tree := company(t)
	for _, tt := range []struct {
		name    string
		holders []Holder
		queue   string
		asked   int64
		want    []string
	}{
		{"as long as the other queue has no less then", []Holder{held("old", "night", 24, 0, 0), held("mid", "night", 12, 0, 5), held("young", "night", 12, 0, 9)}, "production", 40, []string{"young", "mid"}},
		{"for its weight", []Holder{held("a", "night", 12, 0, 0), held("b", "night", 12, 0, 5)}, "production", 36, []string{"b"}},
		{"not where the gang's queue would have more", []Holder{held("a", "night", 12, 0, 0)}, "production", 40, nil},
		{"not from those of a higher priority", []Holder{held("a", "night", 24, 0, 0), held("b", "night", 24, 6, 5)}, "production", 36, []string{"a"}},
		{"from those without a queue", []Holder{held("a", Nobody, 20, 0, 0), held("b", Nobody, 20, 0, 5)}, "production", 40, []string{"b"}},
		{"not from its own queue", []Holder{held("a", "production", 64, 0, 0)}, "production", 8, nil},
		{"siblings compare themselves, not those above them", []Holder{held("a", "speech", 12, 0, 0), held("b", "speech", 4, 0, 5), held("c", "vision", 24, 0, 0)}, "vision", 4, []string{"b"}},
		{"of a queue's parts those that borrow", []Holder{held("a", "vision", 24, 0, 0), held("b", "vision", 8, 0, 5), held("c", "speech", 8, 0, 9), held("d", "vision", 8, 0, 7)}, "night", 4, []string{"d"}},
		{"a gang without a queue takes nothing", []Holder{held("a", "night", 64, 0, 0)}, Nobody, 8, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			u := tree.Usage(tt.holders, gpus(64))
			places := u.Overdrawn(tt.queue, gpus(tt.asked), 5, false, nil)
			if again := u.Overdrawn(tt.queue, gpus(tt.asked), 5, false, nil); !slices.Equal(places, again) {
				t.Errorf("may go: %v, then %v", places, again)
			}
			for _, i := range slices.Backward(places) {
				got = append(got, tt.holders[i].ID)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("may go: %v, want %v", got, tt.want)
			}
		})
	}
}

// Who would be within the guarantee of its queue anew takes the room back at once, whatever
// its queue has borrowed of something else: the two would go for each other for ever.
func TestWhoIsGuaranteedItIsNotOverdrawn(t *testing.T) {
	tree, _ := New([]Queue{{Name: "a", Guaranteed: both(1, 0)}, {Name: "b", Guaranteed: both(4, 1)}})
	holders := []Holder{
		{ID: "within", Queue: "b", Amounts: both(2, 0), Floor: both(2, 0), Since: morning},
		{ID: "beyond", Queue: "b", Amounts: both(2, 2), Floor: both(2, 0)},
	}
	if gone := tree.Usage(holders, both(16, 4)).Overdrawn("a", both(2, 0), 5, false, nil); len(gone) > 0 {
		t.Errorf("%v go, and take it back", gone)
	}
	holders[0].Floor = both(3, 0)
	if gone := tree.Usage(holders, both(16, 4)).Overdrawn("a", both(2, 0), 5, false, nil); !slices.Equal(gone, []int{0}) {
		t.Errorf("%v go, want the first, which could not take it back", gone)
	}
}

// The same where the gang is within its guarantee: with its surplus its queue has borrowed in its
// turn, and the other would take the whole of it.
func TestTwoWithinTheirGuaranteesLeaveEachOther(t *testing.T) {
	tree, _ := New([]Queue{{Name: "a", Guaranteed: gpus(2)}, {Name: "b", Guaranteed: gpus(2)}})
	holders := []Holder{{ID: "with surplus", Queue: "b", Amounts: gpus(3), Floor: gpus(2)}}
	if gone := tree.Usage(holders, gpus(3)).Overdrawn("a", gpus(2), 0, false, nil); len(gone) > 0 {
		t.Errorf("%v go, whose floor is guaranteed as well", gone)
	}
	holders[0].Floor = gpus(3)
	if gone := tree.Usage(holders, gpus(3)).Overdrawn("a", gpus(2), 0, false, nil); !slices.Equal(gone, []int{0}) {
		t.Errorf("%v go, want the one that has borrowed", gone)
	}
}

// With one that goes for the gang's importance and one that has borrowed more, a queue may have
// less in the end than the gang's, and take the room back.
func TestWhoGoesAnywayCountsAsGone(t *testing.T) {
	tree, _ := New([]Queue{{Name: "a", Guaranteed: gpus(2), Weight: 2}, {Name: "b", Guaranteed: gpus(2), Weight: 1}})
	for queue, more := range map[string]int64{"b": 0, Nobody: 4} { // two of guarantee, for half the weight
		holders := []Holder{
			{ID: "low", Queue: queue, Amounts: gpus(6), Floor: gpus(4)}, {ID: "equal", Queue: queue, Amounts: gpus(2), Floor: gpus(2), Priority: 1},
		}
		for _, tt := range []struct {
			low   Portion
			asked int64
			want  []int
		}{
			{Nothing, 6, []int{1}},
			{Surplus, 6, []int{1}},
			{Surplus, 8, nil},
			{Whole, 6, nil},
		} {
			if gone := tree.Usage(holders, gpus(64)).Overdrawn("a", gpus(tt.asked+more), 1, false, []Portion{tt.low, Nothing}); !slices.Equal(gone, tt.want) {
				t.Errorf("of %q %v go where %v of the first goes anyway, want %v", queue, gone, tt.low, tt.want)
			}
		}
	}
}

// What would change nothing of who has more is not done: it could be done in turn for ever.
func TestNobodyGoesWhereQueuesAreEven(t *testing.T) {
	tree, _ := New([]Queue{{Name: "a", Guaranteed: both(1, 4)}, {Name: "b", Guaranteed: both(1, 4)}})
	holders := []Holder{
		{ID: "large of a", Queue: "a", Amounts: both(8, 0)}, {ID: "large of b", Queue: "b", Amounts: both(8, 0)},
		{ID: "small of b", Queue: "b", Amounts: both(0, 5), Since: morning.Add(time.Hour)},
	}
	if gone := tree.Usage(holders, both(16, 64)).Overdrawn("a", both(0, 5), 0, false, nil); len(gone) > 0 {
		t.Errorf("%v go for a queue that has borrowed as much as theirs", gone)
	}
	holders[1].Amounts = both(9, 0)
	if gone := tree.Usage(holders, both(18, 64)).Overdrawn("a", both(0, 5), 0, false, nil); !slices.Equal(gone, []int{2}) {
		t.Errorf("%v go for a queue that has borrowed less than theirs", gone)
	}
}

// both are amounts of two resources.
func both(first, second int64) cluster.Resources { return cluster.Resources{first, second} }

// After those have gone that may, and the gang has come, its queue has no more for its
// weight than any that lost something; and nobody who went could take the room back.
func TestNobodyTakesBackInTurn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := make([]Queue, rapid.IntRange(2, 4).Draw(t, "queues"))
		for i := range given {
			given[i] = Queue{Name: fmt.Sprint("q", i), Weight: rapid.Int64Range(1, 8).Draw(t, "weight"), Guaranteed: gpus(rapid.Int64Range(0, 8).Draw(t, "guaranteed"))}
		}
		tree, _ := New(given)
		list := make([]Holder, rapid.IntRange(0, 8).Draw(t, "holders"))
		for i := range list {
			list[i] = held(fmt.Sprint("h", i), fmt.Sprint("q", rapid.IntRange(0, len(given)-1).Draw(t, "queue")), rapid.Int64Range(1, 16).Draw(t, "gpus"), int32(rapid.IntRange(0, 2).Draw(t, "priority")), i)
		}
		total := gpus(1 << 10)
		comes := held("comes", "q0", rapid.Int64Range(1, 32).Draw(t, "asked"), int32(rapid.IntRange(0, 2).Draw(t, "its priority")), 99)
		gone := tree.Usage(list, total).Overdrawn("q0", comes.Amounts, comes.Priority, false, nil)
		after := append(slices.Clone(list), comes)
		for _, i := range slices.Backward(gone) {
			after = slices.Delete(after, i, i+1)
		}
		u := tree.Usage(after, total)
		shares := u.Shares()
		per := func(queue string) int64 { q, _ := tree.Queue(queue); return shares[queue] / q.Weight }
		for _, i := range gone {
			victim := list[i]
			if victim.Priority > comes.Priority || victim.Queue == "q0" {
				t.Fatalf("%+v goes for %+v", victim, comes)
			}
			if per("q0") > per(victim.Queue) {
				t.Fatalf("q0 has %d for its weight then, and %s %d", per("q0"), victim.Queue, per(victim.Queue))
			}
			for _, j := range u.Overdrawn(victim.Queue, victim.Amounts, 9, false, nil) {
				if after[j].ID == comes.ID && per("q0") > 0 {
					t.Fatalf("%+v could take the room back from %+v", victim, comes)
				}
			}
		}
	})
}

// Whatever the tree, nobody goes that is more important, or in the gang's own queue.
func TestOverdrawnOfAnyTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := queues(t)
		tree, _ := New(given)
		list := holders(t, len(given))
		queue := given[rapid.IntRange(0, len(given)-1).Draw(t, "for")].Name
		for _, i := range tree.Usage(list, amountsOf(t, "total")).Overdrawn(queue, amountsOf(t, "asked"), 1, false, nil) {
			if list[i].Queue == queue || list[i].Priority > 1 {
				t.Fatalf("%+v goes for a gang of %s", list[i], queue)
			}
		}
	})
}
