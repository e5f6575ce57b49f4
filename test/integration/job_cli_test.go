package integration

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// trainJob wants a name, a namespace, the code that its pods exit with, and their GPUs.
const trainJob = `apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {name: %s, namespace: %s}
spec:
  pytorchReplicaSpecs:
    Worker:
      replicas: 3
      restartPolicy: Never
      template:
        metadata: {annotations: {fake.lockstep.dev/run-for: 100ms, fake.lockstep.dev/exit-code: "%d"}}
        spec:
          nodeSelector: {integration.lockstep.dev/pool: %[2]s}
          containers: [{name: pytorch, image: "example.test/train:1", resources: {limits: {nvidia.com/gpu: %[4]d}}}]
`

// cli runs bin/lockstep in a world.
func (w *world) cli(args ...string) (code int, output string) {
	w.t.Helper()
	program := filepath.Join(cmp.Or(os.Getenv(devcluster.BinDirEnv), "../../bin"), "lockstep")
	command := exec.CommandContext(w.ctx, program, append(args, "--kubeconfig", env.cluster.KubeconfigPath(), "-n", w.namespace)...)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err := command.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), out.String()
}

func (w *world) expect(code int, text string, args ...string) {
	w.t.Helper()
	if got, output := w.cli(args...); got != code || !strings.Contains(output, text) {
		w.t.Errorf("%q: exit code %d, want %d with %q; it said\n%s", args, got, code, text, output)
	}
}

func TestJobsFromTheCommandLine(t *testing.T) {
	w := newWorld(t, fakenodes.Shape{}, 1)
	controller, err := env.cluster.StartController(w.ctx, devcluster.ProgramOptions{})
	w.must(err)
	t.Cleanup(controller.Kill)
	manifest := func(name string, code, gpus int) string {
		file := filepath.Join(t.TempDir(), name+".yaml")
		w.must(os.WriteFile(file, fmt.Appendf(nil, trainJob, name, w.namespace, code, gpus), 0o600))
		return file
	}

	w.expect(0, "job good: Succeeded", "submit", "-f", manifest("good", 0, 1), "--watch")
	w.expect(2, "job bad: Failed", "submit", "-f", manifest("bad", 1, 1), "--watch")
	w.expect(0, "Succeeded", "wait", "good")
	w.expect(2, "Failed", "wait", "bad")

	w.expect(0, "created", "submit", "-f", manifest("large", 0, 8))
	w.awaitReason("large", "Impossible")
	w.expect(1, "its gang waits: 3 pods", "wait", "large", "--timeout", "1s")
	w.expect(1, "has no log yet: it is Pending", "logs", "large")
}
