// Command lockstep-scheduler is kube-scheduler with the Lockstep plugin. Its
// flags and its configuration are kube-scheduler's; manifests/scheduler/config.yaml
// is the configuration it ships with.
package main

import (
	"fmt"
	"os"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // metrics of the client
	_ "k8s.io/component-base/metrics/prometheus/version"  // metric with the version
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/pkg/features"

	"lockstep.dev/lockstep/pkg/plugin"
)

func main() {
	// Members wait for their gang for milliseconds; nominating each one's node
	// meanwhile would cost a request per pod. --feature-gates still decides.
	if err := utilfeature.DefaultMutableFeatureGate.OverrideDefault(features.NominatedNodeNameForExpectation, false); err != nil {
		fmt.Fprintln(os.Stderr, "lockstep-scheduler:", err)
		os.Exit(1)
	}
	command := app.NewSchedulerCommand(
		app.WithPlugin(plugin.Name, plugin.NewFactory()),
		app.WithPlugin(plugin.PreemptionName, plugin.NewPodPreemption),
	)
	command.Use = "lockstep-scheduler"
	os.Exit(cli.Run(command))
}
