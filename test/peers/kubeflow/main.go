// Command kubeflow is the PyTorchJob controller of Kubeflow's training operator, without its webhook: a peer that
// TestScale of pkg/controller measures ours beside. The reconciler is upstream's and so are the defaults of the
// flags. It has a module of its own because it is built on the Kubernetes that upstream was released for.
//
// Upstream's own main also serves a webhook that refuses bad jobs, for which it writes certificates into a Secret of
// its namespace; on jobs that are right it costs one call per create and does nothing else.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	theirs "github.com/kubeflow/training-operator/pkg/apis/kubeflow.org/v1"
	"github.com/kubeflow/training-operator/pkg/config"
	"github.com/kubeflow/training-operator/pkg/controller.v1/common"
	"github.com/kubeflow/training-operator/pkg/controller.v1/pytorch"
	"go.uber.org/zap/zapcore"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/flowcontrol"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/scheduler-plugins/apis/scheduling/v1alpha1"
	"volcano.sh/apis/pkg/apis/scheduling/v1beta1"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubeflow:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	qps := flag.Float64("kube-api-qps", 20, "requests per second to the apiserver")
	burst := flag.Int("kube-api-burst", 30, "requests to the apiserver in a burst")
	threads := flag.Int("controller-threads", 1, "jobs that are worked on at once")
	scheduler := flag.String("gang-scheduler-name", "", "make PodGroups for this scheduler; empty: none")
	metrics := flag.String("metrics-bind-address", "0", `address for /metrics; "0": off`)
	flag.Parse() // -kubeconfig is controller-runtime's
	ctrl.SetLogger(zap.New(zap.Level(zapcore.InfoLevel)))
	config.Config.PyTorchInitContainerImage = config.PyTorchInitContainerImageDefault
	config.Config.PyTorchInitContainerTemplateFile = config.PyTorchInitContainerTemplateFileDefault
	config.Config.PyTorchInitContainerMaxTries = config.PyTorchInitContainerMaxTriesDefault

	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, theirs.AddToScheme, v1beta1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	rest, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	rest.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(float32(*qps), *burst)
	manager, err := ctrl.NewManager(rest, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: *metrics}})
	if err != nil {
		return err
	}
	gangs := common.GenNonGangSchedulerSetupFunc()
	if *scheduler != "" {
		gangs = common.GenSchedulerPluginsSetupFunc(manager.GetClient(), *scheduler)
	}
	if err := pytorch.NewReconciler(manager, gangs).SetupWithManager(manager, *threads); err != nil {
		return err
	}
	return manager.Start(ctx)
}
