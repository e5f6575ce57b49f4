// Command coscheduling is kube-scheduler with the coscheduling plugin of
// scheduler-plugins, and no other of its plugins: a peer that "lockstep bench"
// measures Lockstep beside. It is built on the Kubernetes that the plugin was
// released for, which is why it has a module of its own.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	_ "sigs.k8s.io/scheduler-plugins/apis/config/scheme" // CoschedulingArgs
	"sigs.k8s.io/scheduler-plugins/pkg/coscheduling"
)

func main() {
	os.Exit(cli.Run(app.NewSchedulerCommand(app.WithPlugin(coscheduling.Name, coscheduling.New))))
}
