// Package trainingoperator compares the PyTorchJob type of this project with that
// of Kubeflow's training-operator, whose module pins another Kubernetes: whatever
// one of them writes the other reads, and the defaults are the same. Its tests are
// run by "make test-peers", and so by "make test".
//
// When the project's own go.mod has moved on and Go asks for updates here, run the
// tests once with -mod=mod.
package trainingoperator
