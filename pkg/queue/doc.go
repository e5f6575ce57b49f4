// Package queue owns the order in which pods are tried.
//
// A pod's key is computed when it enters the queue and never changes while it is
// inside: a comparator that looks at changing facts breaks a heap. To move a pod
// it is taken out, given a new key and put in again.
package queue
