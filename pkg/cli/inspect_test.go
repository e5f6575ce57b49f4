package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// The scenarios are scripts: files are declared, then verbs run on them.
//
//	nodes [file=nodes.yaml] racks=2 per-rack=2 gpus=8   nodes in racks rack-0… of block-0 and zone-0
//	file name=job.yaml                                  a file as it stands
//	run                                                 lines of arguments; output, errors, exit code
func TestVerbsOnManifests(t *testing.T) {
	datadriven.Walk(t, "testdata/inspect", func(t *testing.T, path string) {
		dir := t.TempDir()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "nodes":
				writeFile(t, dir, "nodes.yaml", nodeManifests(t, d))
			case "file":
				var name string
				d.ScanArgs(t, "name", &name)
				writeFile(t, dir, name, d.Input)
			case "run":
				return runLines(dir, d.Input)
			default:
				d.Fatalf(t, "unknown directive %s", d.Cmd)
			}
			return ""
		})
	})
}

func writeFile(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func nodeManifests(t *testing.T, d *datadriven.TestData) string {
	racks, perRack, gpus := 1, 1, 8
	for name, value := range map[string]*int{"racks": &racks, "per-rack": &perRack, "gpus": &gpus} {
		d.MaybeScanArgs(t, name, value)
	}
	var b strings.Builder
	for i := range racks * perRack {
		fmt.Fprintf(&b, "---\n"+nodeManifest, fmt.Sprintf("node-%d", i), i/perRack, gpus)
	}
	return b.String()
}

// nodeManifest wants a name, the number of a rack, and GPUs.
const nodeManifest = `apiVersion: v1
kind: Node
metadata:
  name: %s
  labels: {topology.kubernetes.io/zone: zone-0, topology.lockstep.dev/block: block-0, topology.lockstep.dev/rack: rack-%d}
status: {allocatable: {cpu: "32", memory: 256Gi, nvidia.com/gpu: "%d", pods: "110"}}
`

var planSeconds = regexp.MustCompile(`"plan_seconds": [0-9.e-]+`)

// runLines runs the command lines one after another. The names of declared files stand
// for the files.
func runLines(dir, lines string) string {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		args := strings.Fields(line)
		for i, arg := range args {
			if _, err := os.Stat(filepath.Join(dir, arg)); err == nil {
				args[i] = filepath.Join(dir, arg)
			}
		}
		code, out, errOut := invoke(args...)
		text := strings.ReplaceAll(out+errOut, dir+string(filepath.Separator), "")
		b.WriteString(planSeconds.ReplaceAllString(text, `"plan_seconds": 0`))
		if code != exitYes {
			fmt.Fprintf(&b, "exit code %d\n", code)
		}
	}
	return b.String()
}

func TestQueueTellsMembers(t *testing.T) {
	for _, tt := range []struct {
		members, floor int
		want           string
	}{
		{3, 0, "3"}, // no PodGroup says how many
		{1, 2, "1 of 2"},
		{2, 2, "2 of 2"},
		{8, 2, "8, needs 2"}, // elastic: the others are surplus
	} {
		if got := (queueEntry{Members: tt.members, Floor: tt.floor}).size(); got != tt.want {
			t.Errorf("%d members, floor %d: %q, want %q", tt.members, tt.floor, got, tt.want)
		}
	}
}
