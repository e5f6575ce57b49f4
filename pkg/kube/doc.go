// Package kube translates between the objects of Kubernetes and the plain types
// of the pure packages: Node to cluster.Node, Pod to gang.Member, PodGroup to
// gang.Spec, and back from a core.Status to conditions.
//
// It owns how a gang is recognised, how a pod's rank is read from its labels,
// and what of a pod's constraints the planner can judge by itself. It has no
// clients and no informers; the shells (plugin, command line) bring the objects.
//
// Offline puts these together into a scheduler without a cluster, for the command
// line: what a core says of objects that were listed or written down.
//
// Recognising a gang has three outcomes that are never folded into one: the pod
// belongs to none, it belongs to one, or its claim is invalid and says why.
package kube
