// Package cluster holds the plain facts a plan is made from: amounts of
// resources and the nodes that offer them.
//
// It owns resource arithmetic and nothing else. It does not know what a gang
// is, where a node stands in the topology, or that Kubernetes exists; the edge
// packages translate Node objects into these types, the simulator reads them
// from a file.
//
// Amounts are int64 in the smallest unit that Kubernetes counts: millicores of
// CPU, bytes of memory, whole pods, whole extended resources. There are no
// floats: a plan has to be the same on every machine.
package cluster
