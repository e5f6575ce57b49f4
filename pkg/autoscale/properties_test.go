package autoscale

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// gpus is a room of so many GPUs; every job's Worker takes one.
type gpus struct{ all, left int }

func (g *gpus) Reset()                 { g.left = g.all }
func (g *gpus) Shrink(_ string, n int) { g.left += n }
func (g *gpus) Start(string) bool      { return false }
func (g *gpus) Grow(_ string, n int) bool {
	if n > g.left {
		return false
	}
	g.left -= n
	return true
}

// optimum tries everything: the most utility that the jobs can have in sum.
func optimum(vessels []*vessel, room int) float64 {
	if len(vessels) == 0 {
		return 0
	}
	best := math.Inf(-1)
	for i, n := range vessels[0].sizes {
		if more := n - vessels[0].sizes[0]; more <= room {
			best = max(best, vessels[0].worth[i]+optimum(vessels[1:], room-more))
		}
	}
	return best
}

func filled(vessels []*vessel, room int) float64 {
	g := &gpus{all: room, left: room}
	some := make([]int, len(vessels))
	for i := range some {
		some[i] = i
	}
	fill(vessels, some, g)
	sum := 0.0
	for _, v := range vessels {
		sum += v.worth[v.at]
	}
	return sum
}

// drawJobs draws jobs at their floors. Their speeds are concave, or have a step
// where a job comes to use a second node.
func drawJobs(t *rapid.T, stepped bool) []Job {
	jobs := make([]Job, rapid.IntRange(1, 4).Draw(t, "jobs"))
	for i := range jobs {
		j := Job{Name: strconv.Itoa(i), Min: 1, Current: 1, Max: rapid.IntRange(1, 8).Draw(t, "max"), GPUs: 1, NodeGPUs: 4, Age: time.Hour}
		speed, gain := 1.0, 1.0
		j.Samples = append(j.Samples, Sample{1, speed})
		for n := 2; n <= j.Max; n++ {
			gain *= rapid.Float64Range(0.5, 1).Draw(t, "gain")
			speed += gain
			s := Sample{n, speed}
			if stepped && n > j.NodeGPUs {
				s.Speed *= 0.9
			}
			j.Samples = append(j.Samples, s)
		}
		if rapid.Bool().Draw(t, "weighted") {
			j.Weight = rapid.Float64Range(0.5, 4).Draw(t, "weight")
		}
		jobs[i] = j
	}
	return jobs
}

func vesselsOf(jobs []Job, power float64) []*vessel {
	vessels := make([]*vessel, len(jobs))
	for i := range jobs {
		vessels[i] = newVessel(&jobs[i], i, power)
	}
	return vessels
}

// TestFillIsOptimal: with concave speeds, whatever the exponent.
func TestFillIsOptimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		jobs, room := drawJobs(t, false), rapid.IntRange(0, 16).Draw(t, "room")
		for _, power := range []float64{1, 0, -1} {
			vessels := vesselsOf(jobs, power)
			if want, got := optimum(vessels, room), filled(vessels, room); got < want-1e-9*(1+math.Abs(want)) {
				t.Fatalf("power %v: utility %v, and %v is possible", power, got, want)
			}
		}
	})
}

// TestFillAtNodeBorders: speeds with a step cost at most what one step is worth.
func TestFillAtNodeBorders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		jobs, room := drawJobs(t, true), rapid.IntRange(0, 16).Draw(t, "room")
		for _, power := range []float64{1, 0, -1} {
			vessels := vesselsOf(jobs, power)
			most := 0.0 // utility of one hull step
			for _, v := range vessels {
				for s, ok := v.next(); ok; s, ok = v.next() {
					most = max(most, v.worth[s.to]-v.worth[v.at])
					v.at = s.to
				}
				v.at = v.home
			}
			if want, got := optimum(vessels, room), filled(vessels, room); got < want-most-1e-9 {
				t.Fatalf("power %v: utility %v, and %v is possible; a step is worth at most %v", power, got, want, most)
			}
		}
	})
}

// TestFillOnTables: on curves of the kind that jobs have, with a step at the border
// of a node, the utility is within 1 % of the optimum.
func TestFillOnTables(t *testing.T) {
	usual := Job{Name: "usual", Min: 1, Current: 1, Max: 16, GPUs: 1, NodeGPUs: 8, Age: time.Hour}
	flat, steep, worse := usual, usual, usual
	flat.Name, steep.Name, worse.Name = "flat", "steep", "worse"
	for n := 1; n <= 16; n++ {
		crossed := 1.0
		if n > 8 {
			crossed = 0.8 // slower on nine than on eight
		}
		flat.Samples = append(flat.Samples, Sample{n, math.Pow(float64(n), 0.4)})
		steep.Samples = append(steep.Samples, Sample{n, math.Pow(float64(n), 0.95)})
		worse.Samples = append(worse.Samples, Sample{n, crossed * math.Pow(float64(n), 0.85)})
	}
	jobs := []Job{flat, steep, usual, worse}
	for _, power := range []float64{1, 0, -1} {
		for room := range 61 {
			vessels := vesselsOf(jobs, power)
			want, got := optimum(vessels, room), filled(vessels, room)
			if got < want-0.01*math.Abs(want)-1e-9 {
				t.Errorf("power %v, %d GPUs: utility %.4f, and %.4f is possible", power, room, got, want)
			}
		}
	}
}

// TestRecommendKeepsTheRules on random situations.
func TestRecommendKeepsTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		room := &gpus{all: rapid.IntRange(0, 12).Draw(t, "idle")}
		s := Situation{Room: room}
		waits := rapid.Bool().Draw(t, "waits") // for more than there ever is
		if waits {
			s.Pending = []Pending{{Name: "waits", GPUs: 100, Waited: time.Hour}}
		}
		used := 0
		for i := range rapid.IntRange(0, 5).Draw(t, "jobs") {
			j := Job{Name: strconv.Itoa(i), GPUs: 1, NodeGPUs: 4, RestartCost: time.Minute}
			j.Min = rapid.IntRange(1, 4).Draw(t, "min")
			j.Max = rapid.IntRange(j.Min, 10).Draw(t, "max")
			j.Current = rapid.IntRange(1, 11).Draw(t, "current")
			j.Asked = rapid.IntRange(0, j.Max).Draw(t, "asked")
			j.Step = rapid.IntRange(0, 3).Draw(t, "step")
			j.Settled = time.Duration(rapid.IntRange(0, 20).Draw(t, "settled")) * time.Minute
			j.Age = j.Settled + time.Duration(rapid.IntRange(0, 100).Draw(t, "age"))*time.Minute
			j.Unchanged = j.Current <= max(j.Min, j.Asked) && rapid.Bool().Draw(t, "unchanged")
			if rapid.Bool().Draw(t, "reports") {
				minutes := func(name string) time.Duration {
					return time.Duration(rapid.IntRange(0, 20).Draw(t, name)) * time.Minute
				}
				j.Checkpoint = &Checkpoint{Age: minutes("unsaved"), Every: minutes("every"), Awaited: minutes("awaited")}
			}
			s.Jobs = append(s.Jobs, j)
			used += j.Current
		}
		decisions := WaterFilling{}.Recommend(s)
		after := 0
		for i, d := range decisions {
			j := s.Jobs[i]
			after += d.Target
			if d.Job != j.Name || d.Reason == "" || d.Verdict == "" {
				t.Fatalf("%+v is not the decision on %+v", d, j)
			}
			if c := j.Checkpoint; d.Verdict == Awaiting && (d.Target != j.Current || c == nil || max(c.Age, c.Awaited) >= 2*c.Every) {
				t.Fatalf("%+v is not what waits for a checkpoint: %+v", d, j)
			}
			if d.Target != j.Current && (d.Target < j.Min || d.Target > j.Max || j.Step > 1 && d.Target%j.Step != 0) {
				t.Fatalf("%+v is not allowed for %+v", d, j)
			}
			if d.Target > max(j.Current, j.Asked) && j.Current >= j.Min && waits {
				t.Fatalf("%+v takes what a gang waits for: %+v", d, j)
			}
			if d.Target < j.Current && d.Target < j.Asked && j.Step < 2 {
				t.Fatalf("%+v takes what was asked for from %+v", d, j)
			}
			if d.Target != j.Current && j.Settled < DefaultCooldown && (!j.Unchanged || d.Target < j.Current) {
				t.Fatalf("%+v comes too soon for %+v", d, j)
			}
		}
		if after > used+room.all {
			t.Fatalf("%d GPUs are given out of %d", after, used+room.all)
		}
		slices.Reverse(s.Jobs)
		again := WaterFilling{}.Recommend(s)
		slices.Reverse(again)
		if fmt.Sprint(again) != fmt.Sprint(decisions) {
			t.Fatalf("the order of the jobs matters:\n%+v\n%+v", decisions, again)
		}
	})
}

// manyJobs are 1,000 jobs of 17 sizes each.
func manyJobs() []Job {
	jobs := make([]Job, 1000)
	for i := range jobs {
		jobs[i] = Job{
			Name: strconv.Itoa(i), Min: 1, Current: 1, Max: 17, GPUs: 1, NodeGPUs: 8, Weight: 1 + float64(i%7),
			Age: time.Duration(i) * time.Hour, Settled: time.Duration(i) * time.Minute, RestartCost: time.Minute,
		}
	}
	return jobs
}

// BenchmarkFill hands out room for 16,000 steps, and for a quarter of them.
func BenchmarkFill(b *testing.B) {
	jobs := manyJobs()
	for _, room := range []int{16000, 4000} {
		b.Run(fmt.Sprintf("room=%d", room), func(b *testing.B) {
			vessels := vesselsOf(jobs, 0)
			for b.Loop() {
				for _, v := range vessels {
					v.at, v.top = v.home, len(v.sizes)-1
				}
				filled(vessels, room)
			}
		})
	}
}

func BenchmarkRecommend(b *testing.B) {
	s := Situation{Jobs: manyJobs(), Room: &gpus{all: 4000}}
	for b.Loop() {
		WaterFilling{}.Recommend(s)
	}
}
