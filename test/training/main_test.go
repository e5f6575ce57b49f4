package training

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lockstep.dev/lockstep/examples"
	"lockstep.dev/lockstep/pkg/controller"
	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/processnode"
)

// env is what the tests share.
var env struct {
	client    client.Client
	logs      kubernetes.Interface
	workspace string
}

func TestMain(m *testing.M) {
	processnode.MaybeRunShim()
	flag.Parse()
	if testing.Short() {
		fmt.Println("training: skipped, the tests need a control plane and -short was given")
		return
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "training:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	workspace, err := newWorkspace()
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(workspace) }()
	cluster, err := devcluster.Start(ctx, devcluster.Options{
		ProcessNode: true, Workspace: workspace, Scheduler: true, Controller: true,
	})
	if err != nil {
		return 1, err
	}
	defer func() { _ = cluster.Stop() }()
	env.workspace, env.logs = workspace, cluster.Client()
	if env.client, err = client.New(cluster.RESTConfig(), client.Options{Scheme: controller.Scheme()}); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// newWorkspace is a directory with the training script, which pods see as /workspace, and in
// which a test can leave word for them.
func newWorkspace() (string, error) {
	dir, err := os.MkdirTemp("", "training-")
	if err != nil {
		return "", err
	}
	text, err := examples.Files.ReadFile("train.py")
	if err == nil {
		err = os.Chmod(dir, 0o755) //nolint:gosec // pods run as another user
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "train.py"), text, 0o644) //nolint:gosec // as said
	}
	return dir, err
}

// needTorch skips a test on a machine that cannot train.
func needTorch(t *testing.T) {
	t.Helper()
	const question = `import importlib.util as u, sys; sys.exit(not (u.find_spec("torch") and u.find_spec("sklearn")))`
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(t.Context(), python, "-c", question).Run() == nil {
			return
		}
	}
	t.Skip("SKIPPED: no python3 with torch on this machine (Debian: apt-get install python3-torch python3-sklearn)")
}
