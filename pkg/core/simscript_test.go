package core_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// script is what a seed stands for: the steps of a run. Each step draws its own random
// numbers, so that without one of them the others still mean the same.
type script struct {
	seed  uint64
	steps []step
}

type step struct {
	number    int
	faultless bool
	do        func(*sim)
}

func (c script) rand(number int) *rand.Rand { return rand.New(rand.NewPCG(c.seed, 2+uint64(number))) }

func newScript(seed uint64) script {
	c, r := script{seed: seed}, rand.New(rand.NewPCG(seed, 0))
	add := func(n int, do func(*sim, int)) {
		for i := range n {
			c.steps = append(c.steps, step{number: len(c.steps), do: func(s *sim) { do(s, i) }})
		}
	}
	add(1+r.IntN(6), func(s *sim, i int) { s.putNode(s.newNode(fmt.Sprint("n", i))) })
	if hasQueues(seed) {
		add(1+c.lots(0).IntN(4), func(s *sim, i int) { s.putQueue(s.newQueue(fmt.Sprint("q", i))) })
	}
	add(1+r.IntN(5), func(s *sim, i int) { s.api.jobs = append(s.api.jobs, s.newJob(i)) })
	if reclaimAfter(seed) > 0 { // queues that borrow need several
		add(4, func(s *sim, i int) { s.api.jobs = append(s.api.jobs, s.newJob(6+i)) })
	}
	if r.IntN(3) == 0 {
		add(3, func(s *sim, _ int) {
			s.bad[fmt.Sprint(s.requests(int64(1+s.rand.IntN(2)), 1))+" "+fmt.Sprint("n", s.rand.IntN(6))] = true
			s.core = s.newCore() // which has not heard of anything yet
		})
	}
	add(100+r.IntN(500), func(s *sim, _ int) { s.act() })
	return c
}

// without returns the script without the steps from i to j.
func (c script) without(i, j int) script {
	return script{c.seed, slices.Concat(c.steps[:i], c.steps[j:])}
}

// calmed returns the script with step i free of faults.
func (c script) calmed(i int) script {
	steps := slices.Clone(c.steps)
	steps[i].faultless = true
	return script{c.seed, steps}
}

// String is what -steps takes.
func (c script) String() string {
	var parts []string
	for i := 0; i < len(c.steps); {
		j := i + 1
		for j < len(c.steps) && c.steps[j].number == c.steps[j-1].number+1 && c.steps[j].faultless == c.steps[i].faultless {
			j++
		}
		text := strconv.Itoa(c.steps[i].number)
		if j > i+1 {
			text += "-" + strconv.Itoa(c.steps[j-1].number)
		}
		if c.steps[i].faultless {
			text += "!"
		}
		parts = append(parts, text)
		i = j
	}
	return strings.Join(parts, ",")
}

// only keeps the steps that a text names; all of them if it is empty.
func (c script) only(text string) (script, error) {
	if text == "" {
		return c, nil
	}
	kept := script{seed: c.seed}
	for part := range strings.SplitSeq(text, ",") {
		numbers, faultless := strings.CutSuffix(part, "!")
		from, to, isRange := strings.Cut(numbers, "-")
		first, err := strconv.Atoi(from)
		last := first
		if err == nil && isRange {
			last, err = strconv.Atoi(to)
		}
		if err != nil || first < 0 || last >= len(c.steps) {
			return script{}, fmt.Errorf("-steps: %q is not a step of seed %d, which has %d", part, c.seed, len(c.steps))
		}
		for _, s := range c.steps[first : last+1] {
			s.faultless = faultless
			kept.steps = append(kept.steps, s)
		}
	}
	return kept, nil
}

// maxRuns bounds how often a script is run while it is shrunk.
const maxRuns = 3000

// shrink makes a failing script shorter while it fails in the same way: without steps,
// in ever smaller pieces, and then without the faults of those that are left.
func shrink(c script, why error) (script, error) {
	runs := 0
	fails := func(shorter script) bool {
		if runs++; runs > maxRuns {
			return false
		}
		err := newSim(shorter.seed).run(shorter)
		if err == nil || kindOf(err) != kindOf(why) {
			return false
		}
		c, why = shorter, err
		return true
	}
	for size := len(c.steps) / 2; size > 0; {
		shorter := false
		for i := 0; i < len(c.steps); {
			if fails(c.without(i, min(i+size, len(c.steps)))) {
				shorter = true
			} else {
				i += size
			}
		}
		if !shorter {
			size /= 2
		}
	}
	for i := range c.steps {
		fails(c.calmed(i))
	}
	return c, why
}

// kindOf is the name of the invariant that a failure begins with.
func kindOf(err error) string {
	kind, _, _ := strings.Cut(err.Error(), ":")
	return kind
}

// runSeeds runs seeds on all processors, from the first on while they are wanted, and
// hands each sim that was well to done, one at a time, until that returns false.
func runSeeds(t *testing.T, first uint64, wanted func(seed uint64) bool, done func(*sim) bool) {
	t.Helper()
	var mu sync.Mutex
	next, over := first, false
	var failed uint64 // the lowest seed that failed; 0 if none did
	var why error
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		seed := next
		next++
		return seed, !over && failed == 0 && wanted(seed)
	}
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for seed, more := take(); more; seed, more = take() {
				s, err := runSeed(seed)
				mu.Lock()
				switch {
				case err != nil && (failed == 0 || seed < failed):
					failed, why = seed, err
				case err == nil && !over:
					over = !done(s)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	if failed == 0 {
		return
	}
	shortest, why := shrink(newScript(failed), why)
	t.Fatalf("seed %d: %v\n%d of %d steps are enough; replay: go test ./pkg/core -run TestSimulation -seed=%d -steps=%s",
		failed, why, len(shortest.steps), len(newScript(failed).steps), failed, shortest)
}

// runSeed runs a seed, and some seeds twice: the same seed gives the same history.
func runSeed(seed uint64) (*sim, error) {
	s := newSim(seed)
	if err := s.run(newScript(seed)); err != nil {
		return s, err
	}
	if seed%40 == 0 || seed%40 == 23 { // with queues, and without
		again := newSim(seed)
		if err := again.run(newScript(seed)); err != nil {
			return s, fmt.Errorf("I7: it fails when it is run again: %w", err)
		}
		if again.history.Sum64() != s.history.Sum64() {
			return s, errors.New("I7: it has another history when it is run again")
		}
	}
	return s, nil
}

// A script that fails is cut down to what makes it fail, and its text leads to it again.
func TestShrinking(t *testing.T) {
	seed, steps := uint64(3), len(newScript(3).steps)
	script := newScript(seed)
	for _, at := range []int{40, 71} {
		script.steps[at].do = func(s *sim) { s.bad[fmt.Sprint("broken", at)] = true }
	}
	script.steps = append(script.steps, step{number: steps, do: func(s *sim) {
		if s.bad["broken40"] && s.bad["broken71"] {
			s.fail("S0: both have happened")
		}
	}})
	err := newSim(seed).run(script)
	if err == nil {
		t.Fatal("the script does not fail")
	}
	shortest, err := shrink(script, err)
	if text, want := shortest.String(), fmt.Sprintf("40!,71!,%d!", steps); text != want || kindOf(err) != "S0" {
		t.Errorf("%s (%v) is left, want %s", text, err, want)
	}
	again, err := newScript(seed).only("40!,71-73")
	if err != nil || len(again.steps) != 4 || !again.steps[0].faultless || again.steps[3].number != 73 || again.steps[3].faultless {
		t.Errorf("40!,71-73 is read as %v, %v", again, err)
	}
	if _, err := newScript(seed).only("40,x"); err == nil {
		t.Error("x is taken for a step")
	}
}
