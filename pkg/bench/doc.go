// Package bench measures schedulers on a real control plane: Lockstep, and its
// peers beside it in the same run, on the same nodes, with the same client limits
// and in turn, so that a machine that gets slower makes all of them slower.
//
// It starts a devcluster without schedulers, and for every repeat and every
// scheduler fresh nodes and one scheduler process. Nodes are plain objects that
// nothing moves pods on: times are measured to bound, not to running.
//
// A scenario is a plain function that returns a Report; how it is printed is the
// command line's business. Absolute numbers are those of one machine at one time;
// what carries over is the ratio to the peers.
package bench
