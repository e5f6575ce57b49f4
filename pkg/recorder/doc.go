// Package recorder watches a cluster and writes down what happens as a history for
// package invariants: first what is there, then every change.
//
// It owns the watches, which it takes up again when they break, and the order of the
// history; how an object stands in it is package kube's. It judges nothing, needs only
// rights to list and watch, and keeps of each object what the history says of it.
package recorder
