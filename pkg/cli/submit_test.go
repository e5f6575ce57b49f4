package cli

import (
	"testing"

	"github.com/cockroachdb/datadriven"
)

// Scripts as in TestVerbsOnManifests: files are declared, then submit runs on them and on flags.
func TestSubmitBeforeAnythingIsSent(t *testing.T) {
	datadriven.Walk(t, "testdata/submit", func(t *testing.T, path string) {
		dir := t.TempDir()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "file":
				var name string
				d.ScanArgs(t, "name", &name)
				writeFile(t, dir, name, d.Input)
				return ""
			case "run":
				return runLines(dir, d.Input)
			}
			d.Fatalf(t, "unknown directive %s", d.Cmd)
			return ""
		})
	})
}
