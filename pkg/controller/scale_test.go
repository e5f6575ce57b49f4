package controller

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
	"lockstep.dev/lockstep/pkg/devcluster"
)

// TestScale measures the shipped program with many jobs: from their creation to the last pod,
// and at rest. It takes minutes, so it has to be asked for:
//
//	LOCKSTEP_SCALE=1000x8 go test ./pkg/controller -run TestScale -v -timeout 30m
func TestScale(t *testing.T) {
	jobs, podsEach := scale(t)
	cluster, c := scaleCluster(t, devcluster.Options{Controller: true})
	meta, err := metadata.NewForConfig(cluster.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	process := "/proc/" + strconv.Itoa(cluster.Controller().Pid())
	t.Logf("idle: %s resident", resident(t, process))
	begin := time.Now()
	createJobs(t, c, jobs, podsEach, func(int, *corev1.PodTemplateSpec) {})
	t.Logf("%d jobs of %d created after %.1fs", jobs, podsEach, time.Since(begin).Seconds())
	pods := corev1.SchemeGroupVersion.WithResource("pods")
	count := func() int64 {
		list, err := meta.Resource(pods).Namespace("default").List(t.Context(), metav1.ListOptions{Limit: 1})
		if err != nil {
			return 0
		}
		n := int64(len(list.Items))
		if list.RemainingItemCount != nil {
			n += *list.RemainingItemCount
		}
		return n
	}
	for want := int64(jobs * podsEach); count() < want; {
		time.Sleep(time.Second) // it is measured, not waited for
	}
	t.Logf("%d pods exist after %.1fs; the controller: %s of CPU, %s resident",
		jobs*podsEach, time.Since(begin).Seconds(), cpu(t, process), resident(t, process))

	versions := func() map[string]string {
		list := &v1.PyTorchJobList{}
		if err := c.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		by := map[string]string{}
		for _, job := range list.Items {
			by[job.Name] = job.ResourceVersion
		}
		return by
	}
	time.Sleep(5 * time.Second) // the last statuses are written
	before, used := versions(), cpu(t, process)
	time.Sleep(30 * time.Second)
	changed := 0
	for name, version := range versions() {
		if before[name] != version {
			changed++
		}
	}
	t.Logf("30s at rest: %s of CPU, %s resident", cpu(t, process)-used, resident(t, process))
	if changed > 0 {
		t.Errorf("%d jobs were written to at rest", changed)
	}
}

// scale is what LOCKSTEP_SCALE asks for.
func scale(t *testing.T) (jobs, podsEach int) {
	t.Helper()
	jobsText, podsText, _ := strings.Cut(os.Getenv("LOCKSTEP_SCALE"), "x")
	jobs, _ = strconv.Atoi(jobsText)
	podsEach, _ = strconv.Atoi(podsText)
	if jobs < 1 || podsEach < 2 {
		t.Skip("set LOCKSTEP_SCALE to JOBSxPODS, such as 1000x8")
	}
	return jobs, podsEach
}

// scaleCluster is a control plane without the controllers that would write an object for each
// Service: here they would only take the processors from what is measured.
func scaleCluster(t *testing.T, options devcluster.Options) (*devcluster.Cluster, client.Client) {
	t.Helper()
	options.ControllerManagerArgs = []string{
		"--controllers=-endpoints-controller,-endpointslice-controller,-endpointslice-mirroring-controller"}
	cluster, err := devcluster.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Stop() })
	config := cluster.RESTConfig()
	config.QPS, config.Burst = 2000, 4000
	c, err := client.New(config, client.Options{Scheme: Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return cluster, c
}

// createJobs creates jobs with a Master and Workers, whose templates may be changed.
func createJobs(t *testing.T, c client.Client, jobs, podsEach int, change func(i int, template *corev1.PodTemplateSpec)) {
	t.Helper()
	workqueue.ParallelizeUntil(t.Context(), 16, jobs, func(i int) {
		job := parseJob(t, fmt.Sprintf(`{spec: {pytorchReplicaSpecs: {Master: {}, Worker: {replicas: %d}}}}`, podsEach-1))
		job.Namespace, job.Name = "default", fmt.Sprintf("job-%d", i)
		for _, replicas := range job.Spec.PyTorchReplicaSpecs {
			change(i, &replicas.Template)
		}
		if err := c.Create(t.Context(), job); err != nil {
			t.Error(err)
		}
	})
}

// cpu is the time that a process has computed.
func cpu(t *testing.T, process string) time.Duration {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(process, "stat"))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')'):]))
	ticks := 0
	for _, field := range fields[12:14] {
		n, _ := strconv.Atoi(field)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func resident(t *testing.T, process string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(process, "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if size, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.Atoi(strings.Fields(size)[0])
			return fmt.Sprintf("%d MiB", kib/1024)
		}
	}
	return "?"
}
