package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFlags: a flag that cannot work is named, before anything is started.
func TestFlags(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "template")
	if err := os.WriteFile(bad, []byte("name: wait"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, want string }{
		{"--max-gang-size=0", "--max-gang-size: 0: must be at least 1"},
		{"--force-delete-after=-1s", "--force-delete-after: -1s: must not be negative"},
		{"--scheduler-name=", "--scheduler-name: must not be empty"},
		{"--autoscale-interval=-1s", "--autoscale-interval: -1s: must not be negative"},
		{"--workers=0", "--workers: 0: must be at least 1"},
		{"--pytorch-init-container-max-tries=0", "--pytorch-init-container-max-tries: 0: must be at least 1"},
		{"--pytorch-init-container-template-file=/nowhere", "--pytorch-init-container-template-file: open /nowhere"},
		{"--pytorch-init-container-template-file=" + bad, "without name or image"},
		{"--topology-levels=rack", `--topology-levels: [0]: "rack" is not name=label`},
		{"--nonsense", "unknown flag: --nonsense"},
		{"extra", "unknown command"},
	} {
		cmd := newCommand()
		cmd.SetArgs(strings.Fields(test.args))
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.args, err, test.want)
		}
	}
}

// TestDefaults: what the flags say without being set.
func TestDefaults(t *testing.T) {
	o := defaultOptions()
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	if got := o.settings.InitContainer("m").Image; got != "alpine:3.10" || !o.leaderElect || o.settings.MaxGangSize != 5000 {
		t.Errorf("options: %+v", o)
	}
	o.initContainer = false
	if err := o.complete(); err != nil || o.settings.InitContainer != nil {
		t.Errorf("switched off, yet there: %v", err)
	}
}
