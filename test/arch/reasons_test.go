package arch

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every reason that a gang or a pod can be told stands in the docs.
func TestEachReasonIsExplained(t *testing.T) {
	docs, err := os.ReadFile("../../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	for file, pattern := range map[string]string{
		"../../pkg/core/reason.go":         `Code\s+=\s+"(\w+)"`,
		"../../pkg/placement/rejection.go": `Kind\s+=\s+"(\w+)"`,
	} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindAllStringSubmatch(string(source), -1)
		if len(found) < 5 {
			t.Errorf("%s has %d reasons; has it changed its form?", file, len(found))
		}
		for _, match := range found {
			if !strings.Contains(string(docs), "`"+match[1]+"`") {
				t.Errorf("docs/reasons.md does not say what %s means (%s)", match[1], file)
			}
		}
	}
}
