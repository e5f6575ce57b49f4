// Package bench measures schedulers on a real control plane: Lockstep, and its
// peers beside it in the same run, on the same nodes, with the same client limits
// and in turn, so that a machine that gets slower makes all of them slower. What
// needs no control plane (the planner's time, its distance from the optimum, a
// replayed trace) is measured in this process.
//
// A scenario is a plain function from Settings to a Report; how it is printed is
// the command line's business. A live scenario has a stage, which is a devcluster
// with nodes that nothing serves: times are measured to bound, not to running. On
// it each contestant has its turn once per case and repeat: a namespace and a
// scheduler process of its own, and pods that carry its name.
//
// Absolute numbers are those of one machine at one time; what carries over is the
// ratio to the peers, and most of all to the ceiling (see ceiling.go). A peer that
// is not built, or that fails, leaves a note in the report; only a failure of
// Lockstep ends a scenario.
package bench
