// Command lockstep-controller runs PyTorchJobs.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	logs.FlushLogs()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lockstep-controller:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	o := defaultOptions()
	logging := logsapi.NewLoggingConfiguration()
	cmd := &cobra.Command{
		Use:   "lockstep-controller",
		Short: "Run PyTorchJobs: pods, services, pod groups, status",
		Long: "lockstep-controller makes the pods, services and pod groups of PyTorchJobs (kubeflow.org/v1) and keeps\n" +
			"their status. It stands aside while Kubeflow's own training operator runs in the cluster.",
		Example: "  # against the cluster of the current kubeconfig, on this machine\n" +
			"  lockstep-controller --leader-elect=false\n\n" +
			"  # as in manifests/controller/deployment.yaml\n" +
			"  lockstep-controller --metrics-bind-address=:8443 --health-probe-bind-address=:8081",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(); err != nil {
				return err
			}
			if err := logsapi.ValidateAndApply(logging, nil); err != nil {
				return err
			}
			ctrl.SetLogger(klog.Background())
			return o.run(cmd.Context())
		},
	}
	o.addFlags(cmd)
	logsapi.AddFlags(logging, cmd.Flags())
	return cmd
}
