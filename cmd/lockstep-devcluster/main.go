// Command lockstep-devcluster is a Kubernetes control plane in one binary: its
// first argument names the component (etcd, kube-apiserver or
// kube-controller-manager), the others are that component's own flags.
//
// Nothing else belongs in here. It is the only program of the project that
// links the apiserver, so it takes long to link and should change seldom.
package main

import (
	"fmt"
	"os"
	_ "time/tzdata" // time zones of CronJobs on machines that have no zone files

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // metrics of the client
	_ "k8s.io/component-base/metrics/prometheus/version"  // metric with the version
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

const usage = "usage: lockstep-devcluster etcd|kube-apiserver|kube-controller-manager [flags]"

func main() {
	if err := dieWithParent(); err != nil {
		fmt.Fprintln(os.Stderr, "lockstep-devcluster:", err)
		os.Exit(1)
	}
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	component, args := os.Args[1], os.Args[2:]
	switch component {
	case "etcd":
		etcdmain.Main(append([]string{component}, args...))
	case "kube-apiserver":
		run(apiserver.NewAPIServerCommand(), args)
	case "kube-controller-manager":
		run(controllermanager.NewControllerManagerCommand(), args)
	default:
		fmt.Fprintf(os.Stderr, "lockstep-devcluster: no component %q\n%s\n", component, usage)
		os.Exit(2)
	}
}

func run(command *cobra.Command, args []string) {
	command.SetArgs(args)
	os.Exit(cli.Run(command))
}
