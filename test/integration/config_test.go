package integration

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep.dev/lockstep/manifests"
	"lockstep.dev/lockstep/pkg/devcluster"
)

// A scheduler whose configuration is wrong does not start, and says where it is. So does
// lockstep lint, but for what only the program knows.
func TestSchedulerRefusesAWrongConfiguration(t *testing.T) {
	shipped, err := manifests.Files.ReadFile("scheduler/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const unknownPlugin = "unknown plugin" // it may be one of the scheduler's own
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
			"another order of the queue", "queueSort:\n        enabled:\n          - name: Lockstep\n        disabled:\n          - name: PrioritySort\n",
			"queueSort:\n        disabled:\n          - name: Lockstep\n",
			"plugins.queueSort: Forbidden: Lockstep is missing",
		},
		{
			"no hold until all have a node", "postFilter:\n", "permit:\n        disabled:\n          - name: '*'\n      postFilter:\n",
			"plugins.permit: Forbidden: Lockstep is missing",
		},
		{
			"binder that comes first", "bind:\n        enabled:\n          - name: Lockstep\n", "bind: {}\n",
			"plugins.bind: Forbidden: Lockstep must be first, before DefaultBinder",
		},
		{
			"preemption that comes first", "postFilter:\n        enabled:\n", "postFilter:\n        enabled:\n          - name: LockstepPodPreemption\n",
			"plugins.postFilter: Forbidden: Lockstep must be first, before LockstepPodPreemption",
		},
		{
			"preemption that knows no gangs", "          - name: LockstepPodPreemption\n        disabled:\n          - name: DefaultPreemption\n", "",
			"plugins.postFilter: Forbidden: DefaultPreemption evicts single members of gangs",
		},
		{
			unknownPlugin, "- name: LockstepPodPreemption\n", "- name: LockstepPodPreemptions\n", `LockstepPodPreemptions`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := strings.ReplaceAll(string(shipped), tt.old, tt.new)
			if config == string(shipped) {
				t.Fatalf("%q does not stand in the shipped configuration", tt.old)
			}
			before := env.cluster.Scheduler()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
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
			file := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			code, out, errOut := (&world{t: t, ctx: ctx}).lockstep("lint", "-f", file)
			_, message, _ := strings.Cut(tt.want, "Forbidden: ")
			if tt.name != unknownPlugin && (code != 2 || !strings.Contains(out, message)) {
				t.Errorf("lint: exit code %d\n%s%s", code, out, errOut)
			}
		})
	}
}
