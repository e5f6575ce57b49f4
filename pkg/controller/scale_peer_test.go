package controller

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"

	"lockstep.dev/lockstep/pkg/devcluster"
	"lockstep.dev/lockstep/pkg/devcluster/fakenodes"
)

// peerProgram is Kubeflow's controller, built by "make peers" from test/peers/kubeflow.
const peerProgram = "peer-kubeflow"

// contestant is a controller of PyTorchJobs that is run from the creation of jobs to their success.
type contestant struct {
	name string
	// start runs it with its metrics at an address, and returns its process.
	start func(t *testing.T, cluster *devcluster.Cluster, metrics string) (pid int)
}

// TestScaleToSuccess measures what a controller needs for many jobs from their creation to their
// success, ours and Kubeflow's in turn, each on a control plane of its own. Pods name their fake
// node, so no scheduler is at work. Kubeflow's runs with the client limits and the number of
// workers that ours has, and, as another contestant, with the defaults that it is shipped with:
//
//	make peers && LOCKSTEP_SCALE=1000x8 go test ./pkg/controller -run TestScaleToSuccess -v -timeout 2h
func TestScaleToSuccess(t *testing.T) {
	jobs, podsEach := scale(t)
	for _, c := range []contestant{
		{"lockstep", startOurs},
		{"kubeflow", startTheirs("-kube-api-qps=500", "-kube-api-burst=1000", "-controller-threads=8")},
		{"kubeflow-as-shipped", startTheirs()},
	} {
		t.Run(c.name, func(t *testing.T) { measureToSuccess(t, c, jobs, podsEach) })
	}
}

func startOurs(t *testing.T, cluster *devcluster.Cluster, metrics string) int {
	t.Helper()
	p, err := cluster.StartController(t.Context(), devcluster.ProgramOptions{
		Args: []string{"--metrics-bind-address=" + metrics, "--metrics-secure=false"}})
	if err != nil {
		t.Fatal(err)
	}
	return p.Pid()
}

func startTheirs(args ...string) func(*testing.T, *devcluster.Cluster, string) int {
	return func(t *testing.T, cluster *devcluster.Cluster, metrics string) int {
		t.Helper()
		dir, err := devcluster.FindBinDir()
		if err != nil {
			t.Skip(err)
		}
		program := filepath.Join(dir, peerProgram)
		if _, err := os.Stat(program); err != nil {
			t.Skipf("%s is not built; \"make peers\" builds it", program)
		}
		args := append([]string{"-kubeconfig=" + cluster.KubeconfigPath(), "-gang-scheduler-name=lockstep", "-metrics-bind-address=" + metrics}, args...)
		command := exec.CommandContext(t.Context(), program, args...)
		log, err := os.Create(filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		command.Stdout, command.Stderr = log, log
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = command.Process.Kill()
			_ = command.Wait()
			_ = log.Close()
		})
		return command.Process.Pid
	}
}

func measureToSuccess(t *testing.T, c contestant, jobs, podsEach int) {
	cluster, client := scaleCluster(t, devcluster.Options{Nodes: 16})
	address, started := freeAddress(t), time.Now()
	process := "/proc/" + strconv.Itoa(c.start(t, cluster, address))
	page := func() counts {
		values, err := scrape(t.Context(), "http://"+address+"/metrics")
		if err != nil {
			return counts{} // it is not there yet
		}
		return values
	}
	idle := page()
	for ; idle.requests == nil || time.Since(started) < 5*time.Second; idle = page() {
		time.Sleep(100 * time.Millisecond) // its caches are filled, too
	}
	begin, used := time.Now(), cpu(t, process)
	createJobs(t, client, jobs, podsEach, func(i int, template *corev1.PodTemplateSpec) {
		template.Spec.NodeName = fakenodes.NodeName(i % 16)
		template.Annotations = map[string]string{fakenodes.RunForAnnotation: "5s"}
	})
	after := page()
	for after.succeeded < jobs {
		time.Sleep(time.Second) // it is measured, not waited for
		after = page()
	}
	passed := time.Since(begin)
	for { // the last writes
		before := after
		time.Sleep(5 * time.Second)
		if after = page(); maps.Equal(before.requests, after.requests) {
			break
		}
	}
	used = cpu(t, process) - used
	per := func(n int) string { return fmt.Sprintf("%.1f", float64(n)/float64(jobs)) }
	var verbs []string
	writes := 0
	for _, verb := range slices.Sorted(maps.Keys(after.requests)) {
		n := after.requests[verb] - idle.requests[verb]
		verbs = append(verbs, verb+" "+per(n))
		if verb != http.MethodGet {
			writes += n
		}
	}
	t.Logf("%s: %d jobs of %d succeeded after %.1fs; per job: %s reconciles, %s writes (of all calls %s), %.1f ms of CPU; %s resident",
		c.name, jobs, podsEach, passed.Seconds(), per(after.reconciled-idle.reconciled), per(writes), strings.Join(verbs, ", "),
		float64(used.Milliseconds())/float64(jobs), resident(t, process))
}

// counts are what a controller says of itself.
type counts struct {
	reconciled, succeeded int
	requests              map[string]int // by HTTP verb
}

// scrape reads a controller's metrics; both programs have these.
func scrape(ctx context.Context, url string) (counts, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return counts{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return counts{}, err
	}
	defer func() { _ = response.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return counts{}, err
	}
	c := counts{requests: map[string]int{}}
	for _, m := range families["controller_runtime_reconcile_total"].GetMetric() {
		c.reconciled += int(m.GetCounter().GetValue())
	}
	for _, m := range families["training_operator_jobs_successful_total"].GetMetric() {
		c.succeeded += int(m.GetCounter().GetValue())
	}
	for _, m := range families["rest_client_requests_total"].GetMetric() {
		for _, label := range m.GetLabel() {
			if label.GetName() == "method" {
				c.requests[label.GetValue()] += int(m.GetCounter().GetValue())
			}
		}
	}
	return c, nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
