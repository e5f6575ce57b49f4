package cli

import (
	"os"
	"strings"
	"testing"
)

// What docs/contention.md shows of the command line is what a test of it shows.
func TestExamplesOfTheContentionPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/contention.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, name := range []string{"preempt", "preempt_queues"} {
		shown, err := os.ReadFile("testdata/inspect/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(shown)) {
			known[strings.TrimSpace(line)] = true
		}
	}
	checked := 0
	for line := range strings.Lines(string(page)) {
		text, example := strings.CutPrefix(line, "    ")
		if text = strings.TrimPrefix(strings.TrimSpace(text), "lockstep "); !example || text == "" || strings.HasPrefix(text, "- {") {
			continue
		}
		if checked++; !known[text] {
			t.Errorf("no test shows %q", text)
		}
	}
	if checked < 8 {
		t.Errorf("%d lines of examples", checked)
	}
}
