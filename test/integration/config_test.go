package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	"lockstep.dev/lockstep/manifests"
	"lockstep.dev/lockstep/pkg/devcluster"
)

// A scheduler whose configuration is wrong does not start, and says where it is.
func TestSchedulerRefusesAWrongConfiguration(t *testing.T) {
	shipped, err := manifests.Files.ReadFile("scheduler/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, old, new, want string }{
		{
			"unknown field of the plugin's arguments", "kind: LockstepArgs\n", "kind: LockstepArgs\n          permitTimeout: 5\n",
			`unknown field "permitTimeout"`,
		},
		{
			"value out of range", "kind: LockstepArgs\n", "kind: LockstepArgs\n          permitTimeoutSeconds: 1800\n",
			"permitTimeoutSeconds: Invalid value: 1800: must be from 1 to 900",
		},
		{
			"unknown field of the scheduler's configuration", "leaderElection:\n", "leaderElections: {}\nleaderElection:\n",
			`unknown field "leaderElections"`,
		},
		{
			"unknown plugin", "- name: LockstepPodPreemption\n", "- name: LockstepPodPreemptions\n", `LockstepPodPreemptions`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := strings.ReplaceAll(string(shipped), tt.old, tt.new)
			if config == string(shipped) {
				t.Fatalf("%q does not stand in the shipped configuration", tt.old)
			}
			before := env.cluster.Scheduler()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			p, err := env.cluster.StartScheduler(ctx, devcluster.ProgramOptions{Config: []byte(config)})
			if err == nil {
				p.Kill()
				t.Fatal("the scheduler has started")
			}
			// Most of it comes from the log, where quotes are escaped.
			if said := strings.ReplaceAll(err.Error(), `\"`, `"`); !strings.Contains(said, tt.want) {
				t.Errorf("the error is %v; want %q in it", err, tt.want)
			}
			if env.cluster.Scheduler() != before {
				t.Error("the cluster takes the scheduler that did not start for its own")
			}
		})
	}
}
