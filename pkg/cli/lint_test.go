package cli

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateLint = flag.Bool("update-lint", false, "write testdata/lint/*.want")

// TestLint: every word about the manifests of testdata/lint, with the exit code.
func TestLint(t *testing.T) {
	files, err := filepath.Glob("testdata/lint/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			code, out, errOut := invoke("lint", "-f", file)
			got := fmt.Sprintf("%s%sexit code %d\n", errOut, out, code)
			golden := strings.TrimSuffix(file, ".yaml") + ".want"
			if *updateLint {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLintOfWhatWeShip: nothing is wrong with our own files.
func TestLintOfWhatWeShip(t *testing.T) {
	for _, pattern := range []string{"../../examples/*.yaml", "../../manifests/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			if code, out, errOut := invoke("lint", "--strict", "-f", file); code != exitYes {
				t.Errorf("%s: exit code %d\n%s%s", file, code, out, errOut)
			}
		}
	}
}

func TestLintJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "job.json")
	text := `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
		"spec": {"containers": [{"name": "a", "image": "b", "comand": ["c"]}]}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ := invoke("lint", "-o", "json", "-f", file)
	var got struct {
		Objects  int
		Findings []finding
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	want := finding{File: file, Document: 1, Line: 2, Object: "Pod a", Severity: severityError,
		Path: "spec.containers[0].comand", Message: "unknown field; did you mean command?", Suggestion: "command"}
	if code != exitNo || got.Objects != 1 || len(got.Findings) != 1 || got.Findings[0] != want {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// TestLintExitCodes: warnings alone are no mistake, unless they are to be.
func TestLintExitCodes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "group.yaml")
	text := "apiVersion: scheduling.x-k8s.io/v1alpha1\nkind: PodGroup\nmetadata: {name: g, annotations: {lockstep.dev/x: z}}\nspec: {minMember: 1}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		code int
	}{
		{[]string{"lint", "-f", file}, exitYes},
		{[]string{"lint", "--strict", "-f", file}, exitNo},
		{[]string{"lint", "-f", file + ".yml"}, exitError},
		{[]string{"lint"}, exitError},
	} {
		if code, out, errOut := invoke(test.args...); code != test.code {
			t.Errorf("%v: exit code %d, want %d\n%s%s", test.args, code, test.code, out, errOut)
		}
	}
}

func TestNearest(t *testing.T) {
	fields := []string{"replicas", "restartPolicy", "template", "env", "envFrom", "image", "imagePullPolicy"}
	for name, want := range map[string]string{
		"replica": "replicas", "Replicas": "replicas", "replcias": "replicas", "restartpolicy": "restartPolicy", "tmplate": "template",
		"imagePullPolcy": "imagePullPolicy", "envs": "env", "banana": "", "x": "", "": "",
	} {
		if got := nearest(name, fields); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
