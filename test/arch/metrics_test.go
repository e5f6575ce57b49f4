package arch

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/metrics.md has every metric that the programs serve, and no other.
func TestMetricsAreExplained(t *testing.T) {
	docs, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	tables, _, _ := strings.Cut(string(docs), "## Worth an alert")
	told := map[string]bool{}
	for _, match := range regexp.MustCompile("`(lockstep_[a-z_]+)`").FindAllStringSubmatch(tables, -1) {
		told[match[1]] = true
	}
	served := map[string]bool{}
	for dir, pattern := range map[string]string{
		"../../pkg/plugin":     `"(lockstep_[a-z_]+)"`,
		"../../pkg/controller": `"(lockstep_[a-z_]+)"|newCounters\("([a-z]+)"`,
	} {
		for _, text := range sources(t, dir) {
			for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
				name := match[1]
				if name == "" {
					name = "lockstep_jobs_" + match[2] + "_total"
				}
				served[name] = true
			}
		}
	}
	if len(served) < 15 {
		t.Errorf("only %d metrics are found in the code", len(served))
	}
	for name := range served {
		if !told[name] {
			t.Errorf("docs/metrics.md does not say what %s is", name)
		}
	}
	for name := range told {
		if !served[name] {
			t.Errorf("docs/metrics.md tells of %s, which nobody serves", name)
		}
	}
}

// sources are the texts of a directory's Go files, tests apart.
func sources(t *testing.T, dir string) (texts []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name := entry.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			text, err := os.ReadFile(dir + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(text))
		}
	}
	return texts
}
