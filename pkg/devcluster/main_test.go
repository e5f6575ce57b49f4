package devcluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"lockstep.dev/lockstep/pkg/devcluster/processnode"
)

// roleEnv makes the test binary something else: a supervisor to be killed, or
// a server that is unlucky with its port.
const roleEnv = "DEVCLUSTER_TEST_ROLE"

func TestMain(m *testing.M) {
	processnode.MaybeRunShim()
	switch os.Getenv(roleEnv) {
	case "supervisor":
		supervise()
	case "server":
		serveUnluckily()
	default:
		os.Exit(runTests(m))
	}
}

// runTests runs the tests, stops the cluster that they share, and looks for
// goroutines that outlive it.
func runTests(m *testing.M) int {
	before := goleak.IgnoreCurrent() // what packages start when they are loaded
	code := m.Run()
	if shared.cluster != nil {
		if err := shared.cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the shared cluster:", err)
			code = 1
		}
	}
	if code != 0 {
		return code
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	// It gives them less than a second, in which a busy machine may not come to all.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := await(ctx, nil, "goroutines go on", func(context.Context) error {
		return goleak.Find(before,
			// kwok's queues have no end: one goroutine for each, asleep.
			goleak.IgnoreAnyFunction("sigs.k8s.io/kwok/pkg/utils/queue.(*weightDelayingQueue[...]).loopWorker"),
			goleak.IgnoreTopFunction("k8s.io/klog/v2.(*flushDaemon).run.func1"),
		)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "after the clusters have stopped:", err)
		return 1
	}
	return 0
}

var shared struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

// sharedCluster is one cluster with four fake nodes for all tests that do not
// break it. Each test takes a namespace of its own.
func sharedCluster(t *testing.T) *Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	shared.once.Do(func() {
		shared.cluster, shared.err = Start(context.Background(), Options{Nodes: 4, Log: func(line string) { t.Log(line) }})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.cluster
}

// supervise runs a small cluster until SIGTERM, and says on standard output
// when it is ready.
func supervise() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cluster, err := Start(ctx, Options{DataDir: os.Getenv("DEVCLUSTER_TEST_DIR"), Nodes: 1, Scheduler: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	state, err := Status(cluster.DataDir())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(state)
	<-ctx.Done()
	if err := cluster.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveUnluckily finds its port taken the first time that it starts.
func serveUnluckily() {
	mark := os.Getenv("DEVCLUSTER_TEST_MARK")
	if _, err := os.Stat(mark); err != nil {
		_ = os.WriteFile(mark, nil, 0o600)
		fmt.Println("listen tcp 127.0.0.1: bind: address already in use")
		os.Exit(1)
	}
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	fmt.Println(http.ListenAndServe(os.Getenv("DEVCLUSTER_TEST_ADDRESS"), handler))
	os.Exit(1)
}
