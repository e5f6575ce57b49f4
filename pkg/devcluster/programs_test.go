package devcluster

import (
	"bytes"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The scheduler binary with the shipped configuration and rights: it binds, is
// killed, is started again, and binds.
func TestSchedulerRunsWithTheShippedRights(t *testing.T) {
	c := sharedCluster(t)
	namespace := newNamespace(t, c)
	for _, name := range []string{"before", "after"} {
		p, err := c.StartScheduler(t.Context(), ProgramOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Scheduler() != p {
			t.Error("Scheduler is not the one that was started last")
		}
		create(t, c, namespace, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.PodSpec{SchedulerName: "lockstep", Containers: []corev1.Container{{Name: "c", Image: "none"}}},
		})
		awaitPod(t, c, namespace, name, "is bound and runs", isReady)
		text, err := os.ReadFile(p.LogPath())
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			if bytes.Contains(line, []byte("forbidden")) {
				t.Errorf("a right is missing: %s", line)
			}
		}
		p.Kill()
	}
	state, err := Status(c.DataDir())
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Processes) < 3 {
		t.Errorf("status %+v lacks a process", state)
	}
}

func TestProgramThatIsMissingIsNamed(t *testing.T) {
	c := sharedCluster(t)
	options := c.options
	options.BinDir = t.TempDir()
	other := &Cluster{options: options, client: c.client, config: c.config, pki: c.pki, apiServerPorts: c.apiServerPorts, spawner: c.spawner}
	if _, err := other.StartController(t.Context(), ProgramOptions{}); err == nil || !strings.Contains(err.Error(), controllerBinary) {
		t.Errorf("error %v does not name the program", err)
	}
}
