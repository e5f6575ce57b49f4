// Package devcluster runs a real Kubernetes control plane on this machine for
// development, tests and the demo: etcd, kube-apiserver and
// kube-controller-manager as sub-processes, fake GPU nodes that kwok moves
// along, and on request a node whose pods are local processes.
//
//	cluster, err := devcluster.Start(ctx, devcluster.Options{Nodes: 16, Scheduler: true})
//	if err != nil { ... }
//	defer cluster.Stop()
//	client, err := kubernetes.NewForConfig(cluster.RESTConfig())
//
// A program that asks for Options.ProcessNode calls processnode.MaybeRunShim
// first in main, because containers are started through the program itself.
//
// It owns certificates, ports, processes and the data directory, and knows
// nothing of gangs or jobs: the scheduler and the controller are binaries that
// it starts with the rights that manifests/ gives them, as on any cluster.
//
// Invariants:
//
//   - Everything listens on loopback, and needs a certificate or a token.
//   - A process that was started here never outlives the supervisor, however
//     that ends: by Stop, by a signal, by SIGKILL.
//   - One data directory has at most one running cluster. The kernel's lock on
//     a file in it says so, not a number in a file.
//   - A cluster starts empty. Its state goes when it ends; its logs stay until
//     the next start, unless the directory was a temporary one.
//   - Custom kinds exist before the controller-manager starts, so that the garbage
//     collector knows them from the first moment.
package devcluster
