package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A trace that is not there is an error, or a note where everything is measured that can be; one
// that is wrong is an error there as well.
func TestTraceThatCannotBeRead(t *testing.T) {
	wrong := t.TempDir()
	for name, text := range map[string]string{
		"openb/nodes_gpu.csv": "sn\nn\n", "openb/pods_default.csv": "", "synth/cluster_128.csv": "node\nn\n", "synth/gangs_128nodes.csv": "",
	} {
		path := filepath.Join(wrong, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"openb", "elastic"} {
		scenario, _ := Find(name)
		for _, tt := range []struct {
			dir        string
			leaveOut   bool
			err, notes string
		}{
			{dir: "/no/such", err: "no such file or directory: give --traces"},
			{dir: "/no/such", leaveOut: true, notes: name + " is left out: open /no/such/"},
			{dir: wrong, err: ".csv: line 2: there is no column"},
			{dir: wrong, leaveOut: true, err: ".csv: line 2: there is no column"},
		} {
			report, err := scenario.Measure(t.Context(), Settings{Traces: tt.dir, LeaveOut: tt.leaveOut})
			if notes := strings.Join(report.Notes, "\n"); !strings.Contains(notes, tt.notes) || (tt.notes == "") != (notes == "") {
				t.Errorf("%s of %s, left out %t: notes %q, want %q", name, tt.dir, tt.leaveOut, notes, tt.notes)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s of %s, left out %t: error %v, want %q", name, tt.dir, tt.leaveOut, err, tt.err)
			}
		}
	}
}
