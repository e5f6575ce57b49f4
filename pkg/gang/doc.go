// Package gang owns what a gang (a pod group) is: its members in rank order, its
// floor, and the phase that follows from where its members are.
//
// A phase is derived from counts every time it is asked for. Nothing is
// incremented and nothing can drift: after a restart the same members give the
// same phase.
//
// The package does not know nodes, topology or how a gang is recognised among
// pods; package kube translates objects into these types.
package gang
