package manifests

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func TestScriptsPassShellcheck(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("shellcheck is not installed; .ci/run installs it")
	}
	scripts, err := filepath.Glob(filepath.Join(root, "hack/*.sh"))
	if err != nil {
		t.Fatal(err)
	}
	scripts = append(scripts, filepath.Join(root, ".ci/run"))
	for _, script := range scripts {
		if out, err := exec.Command("shellcheck", script).CombinedOutput(); err != nil {
			t.Errorf("%s", out)
		}
		if info, err := os.Stat(script); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s cannot be executed (%v)", script, err)
		}
	}
}

// hack/kind-up.sh cannot run without a container engine, but what it applies can
// be read: all of it has to be objects of the kinds that are meant.
func TestKindScriptRendersWhatItApplies(t *testing.T) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("kubectl is not installed, and the script renders with it")
	}
	cmd := exec.Command("hack/kind-up.sh", "--render")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "NODES=5", "GANGS=2", "IMAGE=lockstep:test")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, problems.String())
	}
	kinds := map[string]int{}
	for _, object := range documents(t, out) {
		if object.GetAPIVersion() == "" || object.GetName() == "" {
			t.Errorf("a document has no apiVersion or no name: %v", object.Object)
		}
		kinds[object.GetKind()]++
	}
	for kind, want := range map[string]int{"Node": 5, "Pod": 16, "PodGroup": 2, "PyTorchJob": 1} {
		if kinds[kind] != want {
			t.Errorf("got %d of kind %s, want %d", kinds[kind], kind, want)
		}
	}
	for _, kind := range []string{"Stage", "Deployment", "CustomResourceDefinition", "ClusterRole"} {
		if kinds[kind] == 0 {
			t.Errorf("nothing of kind %s is applied", kind)
		}
	}
	if bytes.Contains(out, []byte("NeedAlive")) {
		t.Error("a stage uses a template function that only the devcluster has")
	}
	if !bytes.Contains(out, []byte("image: lockstep:test")) || bytes.Contains(out, []byte("image: lockstep:dev")) {
		t.Error("the image that was asked for is not the one that is applied")
	}
}

// documents are the objects of a stream of YAML documents.
func documents(t *testing.T, text []byte) []unstructured.Unstructured {
	t.Helper()
	var list []unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var object unstructured.Unstructured
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) > 0 {
			list = append(list, object)
		}
	}
}

// lines are the lines of a text without the white space around them.
func lines(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			if !yield(strings.TrimSpace(line)) {
				return
			}
		}
	}
}
