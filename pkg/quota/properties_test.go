package quota

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lockstep.dev/lockstep/pkg/cluster"
)

// amount draws numbers of all sizes, absurd ones too.
func amount(t *rapid.T, name string) int64 {
	return rapid.OneOf(rapid.Int64Range(-3, 20), rapid.Int64(), rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64})).Draw(t, name)
}

func amountsOf(t *rapid.T, name string) cluster.Resources {
	var r cluster.Resources
	for i := range rapid.IntRange(0, 3).Draw(t, name+" resources") {
		r = r.Set(i, amount(t, name))
	}
	return r
}

// queues draws a tree, with faults.
func queues(t *rapid.T) []Queue {
	list := make([]Queue, rapid.IntRange(1, 6).Draw(t, "queues"))
	for i := range list {
		list[i] = Queue{Name: fmt.Sprint("q", i), Guaranteed: amountsOf(t, "guaranteed"), Cap: map[int]int64{}, Weight: amount(t, "weight")}
		if parent := rapid.IntRange(-1, len(list)).Draw(t, "parent"); parent >= 0 {
			list[i].Parent = fmt.Sprint("q", parent)
		}
		for range rapid.IntRange(0, 2).Draw(t, "caps") {
			list[i].Cap[rapid.IntRange(0, 2).Draw(t, "capped")] = amount(t, "cap")
		}
	}
	return list
}

func holders(t *rapid.T, queues int) []Holder {
	list := make([]Holder, rapid.IntRange(0, 8).Draw(t, "holders"))
	for i := range list {
		list[i] = Holder{
			ID: fmt.Sprint("h", i), Queue: fmt.Sprint("q", rapid.IntRange(-1, queues).Draw(t, "queue")), Amounts: amountsOf(t, "held"),
			Priority: int32(rapid.IntRange(0, 2).Draw(t, "priority")), Since: morning.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "since")) * time.Hour),
		}
	}
	return list
}

// What a queue holds is the sum of what its holders and those of its parts hold, never
// below zero, never wrapped around, and a gang is admitted if, and only if, true sums
// stay within all caps.
func TestSumsAndCaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := queues(t)
		tree, _ := New(given)
		held := holders(t, len(given))
		u := tree.Usage(held, amountsOf(t, "total"))
		asked := amountsOf(t, "asked")
		for _, q := range given {
			ok := true
			for _, i := range tree.path(q.Name) {
				for r := range 3 {
					sum := new(big.Int)
					for _, h := range held {
						if slices.Contains(tree.path(h.Queue), i) {
							sum.Add(sum, big.NewInt(max(0, h.Amounts.Get(r))))
						}
					}
					most := big.NewInt(math.MaxInt64)
					if want := minOf(sum, most); u.used[i].Get(r) != want {
						t.Fatalf("queue %s holds %d of %d, want %d", tree.nodes[i].Name, u.used[i].Get(r), r, want)
					}
					limit, capped := tree.nodes[i].Cap[r]
					if want := asked.Get(r); capped && want > 0 && sum.Add(sum, big.NewInt(want)).Cmp(big.NewInt(limit)) > 0 {
						ok = false
					}
				}
			}
			if refusal, admitted := u.Admit(q.Name, asked); admitted != ok {
				t.Fatalf("queue %s asks for %v: admitted %t (%+v), want %t", q.Name, asked, admitted, refusal, ok)
			}
		}
		empty := tree.Usage(nil, nil)
		for _, q := range given {
			if slices.ContainsFunc(empty.Used(q.Name), func(n int64) bool { return n != 0 }) {
				t.Fatalf("queue %s holds %v of nothing", q.Name, empty.Used(q.Name))
			}
		}
		for queue, share := range u.Shares() {
			if share < 0 || share > one {
				t.Fatalf("queue %q has a share of %d", queue, share)
			}
		}
		u.Turns(History{})
	})
}

func minOf(a, b *big.Int) int64 {
	if a.Cmp(b) > 0 {
		a = b
	}
	return a.Int64()
}

// What others hold decides nothing for a queue, unless a cap above both does.
func TestOthersDoNotInterfere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := queues(t)
		tree, _ := New(given)
		held := holders(t, len(given))
		asked := amountsOf(t, "asked")
		queue := given[rapid.IntRange(0, len(given)-1).Draw(t, "of")].Name
		own := slices.DeleteFunc(slices.Clone(held), func(h Holder) bool {
			path := tree.path(h.Queue)
			return !slices.ContainsFunc(tree.path(queue), func(i int) bool { return slices.Contains(path, i) })
		})
		all, alone := tree.Usage(held, nil), tree.Usage(own, nil)
		refusal, ok := all.Admit(queue, asked)
		again, okAgain := alone.Admit(queue, asked)
		if refusal != again || ok != okAgain || all.Guaranteed(queue, asked) != alone.Guaranteed(queue, asked) {
			t.Fatalf("%+v, %t with others; %+v, %t without", refusal, ok, again, okAgain)
		}
	})
}

// Whoever may be evicted for a guarantee borrows, and after all of them have gone no queue
// is further below its guarantee than by its last gang.
func TestReclaimKeepsGuarantees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := queues(t)
		tree, _ := New(given)
		held := holders(t, len(given))
		u := tree.Usage(held, nil)
		queue := given[rapid.IntRange(0, len(given)-1).Draw(t, "for")].Name
		asked := amountsOf(t, "asked")
		var list []int
		for k, part := range u.Reclaimable(queue, asked) {
			if part > Nothing {
				list = append(list, k)
			}
		}
		for _, k := range list {
			if held[k].Queue == queue {
				t.Fatalf("%s would take from itself", queue)
			}
			// Without the others, this one's queue still borrows something that is asked for.
			left := slices.DeleteFunc(slices.Clone(held), func(h Holder) bool {
				return h.ID != held[k].ID && slices.ContainsFunc(list, func(j int) bool { return held[j].ID == h.ID && before(held[j], held[k]) })
			})
			now := tree.Usage(left, nil)
			if i, known := tree.at[held[k].Queue]; known && !now.over(i, now.used[i], asked) {
				t.Fatalf("%s of %s may go, which holds %v of a guarantee of %v", held[k].ID, held[k].Queue, now.used[i], tree.nodes[i].Guaranteed)
			}
		}
	})
}

// before reports whether a goes before b.
func before(a, b Holder) bool {
	if a.Priority != b.Priority {
		return a.Priority < b.Priority
	}
	if !a.Since.Equal(b.Since) {
		return a.Since.After(b.Since)
	}
	return a.ID < b.ID
}

// No question changes what is held, in amounts that their owners keep.
func TestQuestionsChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := queues(t)
		tree, _ := New(given)
		held := holders(t, len(given))
		for i := range held {
			held[i].Promised, held[i].Floor = amountsOf(t, "promised"), amountsOf(t, "floor")
		}
		was := fmt.Sprint(held)
		u, asked := tree.Usage(held, amountsOf(t, "total")), amountsOf(t, "asked")
		used := fmt.Sprint(u.used, u.nobody)
		for _, q := range given {
			u.Admit(q.Name, asked)
			u.Reclaimable(q.Name, asked)
			u.Preemptible(q.Name, asked, held)
			u.Overdrawn(q.Name, asked, 2, false, nil)
		}
		if fmt.Sprint(held) != was || fmt.Sprint(u.used, u.nobody) != used {
			t.Fatalf("%s is held, in queues %s; it was %s and %s", fmt.Sprint(held), fmt.Sprint(u.used, u.nobody), was, used)
		}
	})
}

// The mean forgets half in a half-life, whatever the steps it is taken in.
func TestHistoryDecays(t *testing.T) {
	for steps := 1; steps <= 1000; steps *= 10 {
		h := History{At: morning, Mean: map[string]int64{"past": one}}
		for k := 1; k <= steps; k++ {
			h = h.Advance(morning.Add(time.Duration(k)*24*time.Hour/time.Duration(steps)), map[string]int64{"present": one}, 12*time.Hour)
		}
		for queue, want := range map[string]int64{"past": one / 4, "present": one * 3 / 4} {
			if got := h.Share(queue); math.Abs(float64(got-want)) > one/1000 {
				t.Errorf("%d steps: %s has %d, want about %d", steps, queue, got, want)
			}
		}
	}
	h := History{At: morning, Mean: map[string]int64{"past": one}}
	if got := h.Advance(morning.Add(-time.Hour), nil, time.Hour); got.Share("past") != one || !got.At.Equal(morning) {
		t.Errorf("going back in time makes %+v", got)
	}
	if got := h.Advance(morning.Add(10000*time.Hour), nil, time.Hour); got.Share("past") != 0 {
		t.Errorf("after ages %d is left", got.Share("past"))
	}
}

// Teams that always want more get what is borrowed by their weights, also one that comes
// late, and one that had everything before has to wait.
func TestBorrowedHoursFollowTheWeights(t *testing.T) {
	tree, _ := New([]Queue{{Name: "a", Weight: 1}, {Name: "b", Weight: 2}, {Name: "c", Weight: 5}})
	total := gpus(64)
	type job struct {
		Holder
		ends time.Time
	}
	var running []job
	hours := map[string]float64{}
	var late History
	for minute := range 14 * 24 * 60 {
		now := morning.Add(time.Duration(minute) * time.Minute)
		running = slices.DeleteFunc(running, func(j job) bool { return !now.Before(j.ends) })
		for n := 0; ; n++ {
			var held []Holder
			free := int64(64)
			for _, j := range running {
				held = append(held, j.Holder)
				free -= j.Amounts.Get(gpu)
			}
			u := tree.Usage(held, total)
			if n == 0 {
				late = late.Advance(now, u.Shares(), 6*time.Hour)
			}
			queues := []string{"a", "b", "c"}
			if minute < 24*60 {
				queues = queues[:1] // b and c sleep
			}
			turns := u.Turns(late)
			slices.SortStableFunc(queues, func(x, y string) int { return turns[x] - turns[y] })
			if free < 8 {
				break
			}
			size := []int64{1, 4, 8}[(minute+n)%3]
			running = append(running, job{Holder{Queue: queues[0], Amounts: gpus(size)}, now.Add(time.Duration(20+(minute*7+n*13)%200) * time.Minute)})
		}
		if minute >= 5*24*60 {
			for _, j := range running {
				hours[j.Queue] += float64(j.Amounts.Get(gpu)) / 60
			}
		}
	}
	sum := hours["a"] + hours["b"] + hours["c"]
	for queue, want := range map[string]float64{"a": 1. / 8, "b": 2. / 8, "c": 5. / 8} {
		if got := hours[queue] / sum; math.Abs(got-want) > 0.05*want {
			t.Errorf("%s got %.3f of what was borrowed, want %.3f within 5 %%", queue, got, want)
		}
	}
}
