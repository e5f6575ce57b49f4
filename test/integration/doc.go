// Package integration drives Lockstep's binaries on a real control plane: etcd,
// kube-apiserver and kube-controller-manager of the devcluster, fake GPU nodes,
// and lockstep-scheduler and lockstep-controller with the rights of the shipped
// service accounts.
//
// One devcluster serves the whole package. Each test has a namespace and nodes of
// its own, which its pods select by label, so that tests do not see each other.
// Whatever a test is about, all that happens in its namespace is recorded and judged by
// package invariants, and at its end nothing may be left that is not as it should be
// (see history_test.go).
package integration
