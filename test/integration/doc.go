// Package integration drives Lockstep's binaries on a real control plane: etcd,
// kube-apiserver and kube-controller-manager of the devcluster, fake GPU nodes,
// and lockstep-scheduler and lockstep-controller with the rights of the shipped
// service accounts.
//
// One devcluster serves the whole package. Each test has a namespace and nodes of
// its own, which its pods select by label, so that tests do not see each other.
// What is asserted about gangs is asserted about the watch history of all pods,
// not only about the end (see history.go).
package integration
