// Package training runs PyTorchJobs that really train, from their YAML to Succeeded, on a
// devcluster whose pods are processes of this machine: apiserver, scheduler, controller,
// torchrun and torch are the real ones.
//
// What is asked of a job is what its user would look for in its log: steps and losses that
// go on over every change of members.
package training
