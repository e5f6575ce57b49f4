// Package placement decides where the members of one gang go: a node for every
// one of them, or a reason why not.
//
// The gang comes as classes: members with the same requests and the same
// constraints are one class with a count. Solve looks for the lowest domain of
// the topology that holds the whole gang, and inside it for the placement that
//
//  1. uses the fewest domains at each level, the widest level first (zones,
//     then blocks, then racks, then nodes), and
//  2. among those leaves the least behind on the nodes and in the racks that it
//     breaks into, so that whole nodes and whole racks stay free.
//
// Both are additive over the domains used, so one dynamic programme over the
// tree finds the optimum (tables.go). A node's capacity for several classes is
// the set of count vectors that fit, never a maximum or a sum: a Master with
// much CPU and Workers with many GPUs may only fit side by side in one way.
//
// Everything here is a pure function: no clock, no randomness, no Kubernetes.
// The same request gives the same plan, and the names of nodes only ever break
// ties. What a node would say beyond resources (taints, affinity) is asked of
// the caller through Class.Eligible.
package placement
