// Package sandbox starts the processes of pods and takes care that they end.
//
// Three kinds of process work together, all of them the same binary:
//
//	caller  - the process that called [Start]; it holds a [Node]
//	keeper  - one for each Node; owns the bridge and is the parent of all inits
//	init    - one for each running container; sets up its view of the machine,
//	          drops every right, runs the command, passes signals on, and copies the output to the log
//
// The caller and the keeper talk through a socket pair. When the caller ends, in whatever
// way, the socket closes and the keeper exits; with namespaces the keeper is the first process of a PID
// namespace, so that the kernel then ends everything below it.
//
// [Mode] says how well pods are kept apart: as root and with user namespaces each pod has a
// network of its own, joined by a bridge that exists only inside the keeper's network namespace;
// with neither, pods are plain processes that differ by loopback address.
//
// A program that calls Start must call [MaybeRunShim] first thing in main (and in TestMain),
// because the keeper and the inits are this same program under other names.
//
// Invariants:
//   - nothing of the caller's environment reaches a container; [Spec].Env is all that it gets
//   - a container's command has no capabilities and cannot gain any
//   - after the caller's death no process of the sandbox remains
//
// The package knows nothing of Kubernetes.
package sandbox
