package training

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// TestReport: the example tells its speed, and how old its checkpoint is, as the recommender
// asks for it.
func TestReport(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().(*net.TCPAddr)
	_ = listener.Close()
	command := exec.CommandContext(t.Context(), "python3", filepath.Join(env.workspace, "train.py"), //nolint:gosec // ours
		"--no-torch", "--epochs", "100000", "--metrics-port", fmt.Sprint(address.Port))
	command.Env = append(command.Environ(), "CHECKPOINT_DIR="+t.TempDir())
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	want := regexp.MustCompile(`^lockstep_steps_per_second [0-9.]+\nlockstep_seconds_since_checkpoint [0-9.]+\n$`)
	var said string
	err = wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/metrics", address), nil)
		if err != nil {
			return false, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil // it has not begun to listen
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		said = string(text)
		return want.MatchString(said), nil
	})
	if err != nil {
		t.Errorf("it says %q: %v", said, err)
	}
}
