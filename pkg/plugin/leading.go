package plugin

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"

	"lockstep.dev/lockstep/pkg/core"
)

// leaderMetric is how leader election shows in this process: 1 once it leads. The
// framework has no other way to tell a plugin.
const leaderMetric = "leader_election_master_status"

// electionGrace is how long after the caches are filled an election would have
// begun, if there were one.
const electionGrace = 5 * time.Second

// awaitElection returns true when this scheduler leads. A standby takes in what
// happens and does nothing about it: it would write statuses beside the leader, and
// end gangs that the leader is completing.
func (e *engine) awaitElection(ctx context.Context) bool {
	begin := time.Now()
	err := wait.PollUntilContextCancel(ctx, time.Second, true, func(context.Context) (bool, error) {
		held, election := leaderElection()
		return e.asked.Load() || held || !election && time.Since(begin) > electionGrace, nil
	})
	return err == nil
}

// leaderElection says whether this process holds a lease, and whether it stands for
// one at all.
func leaderElection() (held, election bool) {
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		return false, true // the next look may tell
	}
	for _, family := range families {
		if family.GetName() != leaderMetric {
			continue
		}
		for _, metric := range family.GetMetric() {
			election = true
			held = held || metric.GetGauge().GetValue() == 1
		}
	}
	return held, election
}

// act carries on what a leader does besides scheduling, until ctx ends.
func (e *engine) act(ctx context.Context) {
	logger := klog.FromContext(ctx)
	logger.Info("Lockstep leads")
	e.step(core.Elected{})
	go e.reports.run(ctx)
	go e.queues.run(ctx)
	wait.UntilWithContext(ctx, func(context.Context) {
		e.step(core.Tick{})
		e.mend()
		e.wakeBeside(logger)
	}, time.Second)
}
