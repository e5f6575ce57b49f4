package integration

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"lockstep.dev/lockstep/pkg/devcluster"
)

// env is what the tests share.
var env struct {
	cluster *devcluster.Cluster
	client  kubernetes.Interface
	dynamic dynamic.Interface
}

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("integration: skipped, the tests need a control plane and -short was given")
		return
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cluster, err := devcluster.Start(ctx, devcluster.Options{
		DataDir: os.Getenv("LOCKSTEP_TEST_DATA_DIR"), Scheduler: true, Log: func(line string) { fmt.Println("devcluster:", line) },
	})
	if err != nil {
		return 1, err
	}
	defer func() { _ = cluster.Stop() }()
	config := cluster.RESTConfig()
	config.QPS, config.Burst = 2000, 4000
	env.cluster = cluster
	if env.client, err = kubernetes.NewForConfig(config); err != nil {
		return 1, err
	}
	if env.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
