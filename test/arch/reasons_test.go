package arch

import (
	"os"
	"path/filepath"
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

// Every reason that the controller gives a job, in an event or a clamp, stands in the docs.
func TestEachEventOfAJobIsExplained(t *testing.T) {
	docs, err := os.ReadFile("../../docs/pytorchjob.md")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, dir := range []string{"../../pkg/controller/*.go", "../../pkg/apis/kubeflow/v1/notices.go"} {
		found, err := filepath.Glob(dir)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	reason := regexp.MustCompile(`(?:reason[A-Z]\w*\s+=\s+|\.tell\(corev1\.EventType\w+, |noteClamp\(|Notice\{|trouble\.Reason = |Trouble\{Reason: )"(\w+)"`)
	count := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range reason.FindAllStringSubmatch(string(source), -1) {
			count++
			if name := match[1]; !strings.Contains(string(docs), "`"+name+"`") && !strings.Contains(string(docs), "`"+name+"…`") {
				t.Errorf("docs/pytorchjob.md does not say what %s means (%s)", name, file)
			}
		}
	}
	if count < 30 {
		t.Errorf("%d reasons were found; have they changed their form?", count)
	}
}
