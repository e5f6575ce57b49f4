package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// summary writes median and maximum of some durations.
func summary(t *testing.T, what string, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	t.Logf("%s: median %s, at most %s, of %d", what, took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), len(took))
}

// A gang that waits gets its place when who is there goes. How long that takes is told
// with -v, to the 50 ms between two looks.
func TestRoomThatComesBack(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	var took []time.Duration
	w.create(gangOf("gang-0", 2, "8"))
	w.awaitPlaced("gang-0", 2)
	for i := range 10 {
		there, next := gangOf(fmt.Sprint("gang-", i), 2, "8"), gangOf(fmt.Sprint("gang-", i+1), 2, "8")
		w.create(next)
		w.awaitReason(next.name, "DoesNotFit")
		begin := time.Now()
		w.deleteGang(there.name)
		w.awaitPlaced(next.name, 2)
		took = append(took, time.Since(begin))
	}
	summary(t, "from the end of one gang to the binds of the next", took)
}

// A leader that is asked to stop gives its lease back, and the standby goes on at once.
func TestLeaderHandsOver(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 2)
	elected := devcluster.ProgramOptions{LeaderElection: true}
	w.withScheduler(elected)
	leader := env.cluster.Scheduler()
	w.create(gangOf("zeroth", 1, "1"))
	w.awaitPlaced("zeroth", 1) // it leads
	var took []time.Duration
	for i := range 3 {
		standby, err := env.cluster.StartScheduler(w.ctx, elected)
		w.must(err)
		begin := time.Now()
		w.must(leader.Stop())
		next := gangOf(fmt.Sprint("gang-", i), 2, "2")
		w.create(next)
		w.awaitPlaced(next.name, 2)
		took = append(took, time.Since(begin))
		leader = standby
	}
	summary(t, "from SIGTERM to the binds of a gang that comes then", took)
}
