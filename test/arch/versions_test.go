package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Versions that stand in two places have to agree: the parts of the control plane
// compare what the Makefile tells them to be, and the image is built with the Go
// that go.mod asks for.
func TestVersionsAgree(t *testing.T) {
	kubernetes := find(t, "go.mod", `k8s\.io/kubernetes v([0-9.]+)`)
	if made := find(t, "Makefile", `KUBE_VERSION := ([0-9.]+)`); made != kubernetes {
		t.Errorf("go.mod has Kubernetes %s, the Makefile %s", kubernetes, made)
	}
	language := find(t, "go.mod", `(?m)^go (\d+\.\d+)`)
	if built := find(t, "Dockerfile", `FROM golang:(\d+\.\d+)`); built != language {
		t.Errorf("go.mod asks for Go %s, the Dockerfile builds with %s", language, built)
	}
}

// find is what the group of a pattern matches in a file of the project.
func find(t *testing.T, file, pattern string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(pattern).FindSubmatch(text)
	if match == nil {
		t.Fatalf("%s has nothing like %s", file, pattern)
	}
	return string(match[1])
}
