// Package fakenodes is a fleet of Node objects that no machine stands behind:
// nodes in the shape of a GPU cluster, leases that are renewed, and pods that
// run, finish and go as if a kubelet had run them.
//
//	fleet, err := fakenodes.Start(ctx, config, fakenodes.FleetOptions{})
//	names, err := fleet.Add(ctx, fakenodes.DefaultShape(), 16)
//
// kwok, used as a library, moves the pods and renews the leases; what it moves
// them through lies in stages/. This package knows nothing of who makes pods or
// of who schedules them.
//
// # What a pod does
//
// A pod that is bound to a fake node is Running at once and for ever, unless
// its annotations say more:
//
//	fake.lockstep.dev/run-for: 10s     it ends after that time: Succeeded
//	fake.lockstep.dev/exit-code: "1"   it ends with that exit code: Failed, or, where
//	                                   restartPolicy is OnFailure, its containers start again
//	fake.lockstep.dev/stop-after: 5s   it takes that long to go when it is deleted
//
// Times count from the moment that the pod's status names, which has whole
// seconds: a pod runs for at least run-for, and up to a second longer. A pod
// with restartPolicy Always ends too, because that is the default of a pod and
// the annotation says otherwise.
//
// # Nodes of others
//
// Any Node with the label type=kwok is served, whoever made it. Nodes that
// fleet.Add made are known before they exist, so that a pod bound to one within
// the same millisecond is not missed.
//
// # Faults
//
// [Fleet.StopHeartbeat] is a machine that is gone: nothing on it moves any more,
// and the control plane notices when the lease has run out. [Fleet.MarkNotReady]
// is a kubelet that reports trouble while pods keep running. [Fleet.Delete] is a
// node that somebody took out of the cluster.
package fakenodes
