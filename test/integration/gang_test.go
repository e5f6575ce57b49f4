package integration

import (
	"fmt"
	"strings"
	"testing"

	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

func TestGangOfThreeIsPlacedTogether(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 4)
	w.create(gangSpec{name: "job", floor: 3, members: []memberSpec{
		{role: "master", count: 1, gpus: "1"}, {role: "worker", count: 2, gpus: "1"},
	}})
	nodes := w.awaitPlaced("job", 3)
	for pod, node := range nodes {
		if node != nodes["job-master-0"] {
			t.Errorf("%s is on %s, the Master on %s; one node holds all three", pod, node, nodes["job-master-0"])
		}
	}
	w.awaitReason("job", "Placed")
}

func TestGangThatDoesNotFitHoldsNothingAndSaysWhy(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	w.create(gangOf("big", 3, "8"))
	message := w.awaitReason("big", "Impossible")
	for _, part := range []string{"3 pods", "8 nvidia.com/gpu short of 24", "room for 2"} {
		if !strings.Contains(message, part) {
			t.Errorf("the reason is %q; it should say %q", message, part)
		}
	}
	// What it does not hold, another takes.
	w.create(gangOf("small", 2, "8"))
	w.awaitPlaced("small", 2)
	if placed := w.placed("big"); len(placed) > 0 {
		t.Errorf("members of the gang that does not fit are placed: %v", placed)
	}
}

func TestInterleavedGangsForThreeTimesTheCapacity(t *testing.T) {
	const gangs, size, fit = 30, 8, 10
	w := newWorld(t, fakenodes.Shape{}, fit)
	for g := range gangs {
		w.createGroup(gangOf(fmt.Sprintf("gang-%02d", g), size, "1"))
	}
	for i := range size { // the first pod of every gang, then the second, …
		for g := range gangs {
			w.createPods(w.pods(gangOf(fmt.Sprintf("gang-%02d", g), size, "1"))[i : i+1])
		}
	}
	w.await("10 whole gangs", func() (bool, string) {
		whole := 0
		counts := w.history.boundGangs()
		for _, n := range counts {
			if n == size {
				whole++
			}
		}
		return whole == fit, fmt.Sprint(counts)
	})
	for g := range gangs {
		name := fmt.Sprintf("gang-%02d", g)
		if n := len(w.placed(name)); n != 0 && n != size {
			t.Errorf("%s: %d of %d members are placed", name, n, size)
		}
		if w.history.boundGangs()[name] == 0 {
			w.awaitReason(name, "DoesNotFit")
		}
	}
	if torn := w.history.torn(size); len(torn) > 0 {
		t.Errorf("gangs in pieces: %v", torn)
	}
}
