package integration

import (
	"bytes"
	"os"
	"testing"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// Of two schedulers with leader election one acts. When it dies without a word the
// other takes over once the lease has run out, with what it has watched until then.
func TestStandbyTakesOver(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 4)
	elected := devcluster.ProgramOptions{LeaderElection: true}
	w.withScheduler(elected)
	leader := env.cluster.Scheduler()
	w.create(gangOf("first", 4, "8"))
	w.awaitPlaced("first", 4)
	w.awaitReason("first", "Placed")

	standby, err := env.cluster.StartScheduler(w.ctx, elected)
	w.must(err)
	w.create(gangOf("second", 2, "8"))
	w.awaitReason("second", "DoesNotFit")
	leads := func() int {
		log, err := os.ReadFile(standby.LogPath())
		w.must(err)
		return bytes.Count(log, []byte("Lockstep leads"))
	}
	before := leads() // both write to one log
	leader.Kill()
	w.deleteGang("first")
	w.awaitPlaced("second", 2)
	w.awaitReason("second", "Placed")
	if after := leads(); after != before+1 {
		t.Errorf("%d schedulers have acted before the leader died and %d after; the standby alone should have joined", before, after)
	}
}
