package cli

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep.dev/lockstep/examples"
	"lockstep.dev/lockstep/pkg/controller"
)

// mangle changes a few lines of manifests: gone, twice, elsewhere, or with another value.
func mangle(r *rand.Rand, text string) string {
	lines := strings.Split(text, "\n")
	values := []string{"-1", "0", "1e30", "9223372036854775807", `""`, "null", "[]", "{}", "x", "true", `"8"`, "- a", "500m", "2147483648"}
	for range 1 + r.IntN(2) {
		at := r.IntN(len(lines))
		switch r.IntN(12) {
		case 0:
			lines[at] = ""
		case 1:
			lines = append(lines, lines[at:]...)
		case 2:
			other := r.IntN(len(lines))
			lines[at], lines[other] = lines[other], lines[at]
		default:
			if key, _, ok := strings.Cut(lines[at], ": "); ok {
				lines[at] = key + ": " + values[r.IntN(len(values))]
			}
		}
	}
	return strings.Join(lines, "\n")
}

// Whatever a file says, the answer is a plan or one line that names the file.
func TestMangledManifestsArePlannedOrRefused(t *testing.T) {
	job, err := examples.Files.ReadFile("pytorch-job-example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	seeds := []string{string(job)}
	for _, name := range []string{"fits", "lacks", "order", "oddities"} {
		text, err := os.ReadFile(filepath.Join("testdata/inspect", name))
		if err != nil {
			t.Fatal(err)
		}
		for block := range strings.SplitSeq(string(text), "\n----\n") {
			if _, manifest, ok := strings.Cut(block, ".yaml\n"); ok && strings.Contains(manifest, "apiVersion") {
				seeds = append(seeds, manifest)
			}
		}
	}
	node := fmt.Sprintf(nodeManifest, "node-0", 0, 8)
	path := filepath.Join(t.TempDir(), "all.yaml")
	codes := map[int]int{}
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 3))
		text := mangle(r, node+"---\n"+seeds[r.IntN(len(seeds))])
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, errOut := invoke("plan", "-f", path)
		codes[code]++
		lines := strings.Split(strings.TrimSpace(errOut), "\n")
		last := lines[len(lines)-1]
		if code == exitError && (len(lines) != 1 || !strings.Contains(last, path) || out != "") {
			t.Errorf("seed %d: output %q, errors %q, of\n%s", seed, out, errOut, text)
		}
	}
	if codes[exitYes] < 20 || codes[exitNo] < 20 || codes[exitError] < 20 {
		t.Errorf("exit codes %v: the sample says little", codes)
	}
}

// Who plans a job that runs already is told so, instead of that nothing waits.
func TestAJobOfTheClusterIsNamed(t *testing.T) {
	job, err := examples.Files.ReadFile("pytorch-job-example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		running string
		want    []string
	}{
		{"another", nil},
		{"pytorch-job-example", []string{"standard input: document 1: PyTorchJob default/pytorch-job-example: has pods in the cluster; " +
			"they are taken as they are there, and one like it beside it needs another name"}},
	} {
		w := newWorld()
		w.Pods = []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{
			Name: "x", Namespace: "default", Labels: map[string]string{controller.LabelJobName: tt.running},
		}}}
		if err := w.addManifests([]string{"-"}, bytes.NewReader(job), "default", "lockstep"); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(w.notes, tt.want) {
			t.Errorf("%s runs: %q, want %q", tt.running, w.notes, tt.want)
		}
	}
}
