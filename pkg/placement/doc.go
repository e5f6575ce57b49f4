// Package placement decides where the members of one gang go: a node for every
// one of them, or a reason why not.
//
// The gang comes as classes: members with the same requests and the same
// constraints are one class with a count. A plan is the best of all placements
// in this order:
//
//  1. The required level holds: one of its domains has the whole gang, and each
//     slice (a group of consecutive ranks) lies in one domain of the slice level.
//  2. Nodes that pods should avoid are not used, if it can be done without them.
//  3. The gang's lowest common domain is as low as possible: a host before a
//     rack before a block. That is also what a preferred level asks for, falling
//     back level by level, so a preference never changes a plan; Plan.Preferred
//     says whether it was met. Required and preferred may be two levels.
//  4. The fewest domains are used at each level below, the widest level first:
//     blocks, then racks, then hosts.
//  5. The least is left free on the hosts, then in the racks, that are broken
//     into: best fit, so that whole hosts and whole racks stay free.
//  6. The capacities of what is used are even.
//
// Inside the chosen hosts members are then spread evenly (4+4 rather than 7+1),
// and ranks are numbered depth first, rank 0 in the fullest domain that can take
// it. Orders 1 to 4 are exact: no placement is better. 5 and 6 are exact as long
// as there are few ways to weigh (see maxPairs in front.go) and close otherwise.
//
// # How
//
// Every cost above is paid for opening a domain, however many members it gets:
// counts obviously, and what is left in total is what was free in the opened
// domains less what the gang takes, which is the same for all placements. So a
// domain is described by its front: the ways to open parts of it of which none
// offers more for less. One pass over the tree from the hosts upward, joining the
// fronts of children, finds the optimum; the costs are a totally ordered group,
// which is what makes dropping a dominated way safe. (The idea is the dominance
// rule for knapsacks: Kellerer, Pferschy, Pisinger, Knapsack Problems, 2004, §3.4.)
//
// A node's capacity for several classes is the set of count vectors that fit,
// never a maximum or a sum: a Master with much CPU and Workers with many GPUs may
// only fit side by side in one way. The class with the most members is the major
// one; a front holds, for every vector of minor counts, the largest major counts.
//
// An Index keeps the fronts between plans. After a change only the fronts on the
// way from the changed node to the root are joined again, and equal joins (alike
// racks) are made once.
//
// A gang with so many different members that the vectors of minor counts get out
// of hand (exactLimit) is planned class by class instead, each class exactly and
// close to the ones before it; Plan.Exact is false then and Plan.Bound says how
// good the plan could be at most.
//
// Everything here is a pure function: no clock, no randomness, no Kubernetes. The
// same nodes and the same request give the same plan, whatever was planned before;
// the names of nodes only ever break ties. What a node would say beyond resources
// (taints, affinity) is asked of the caller through Class.Eligible.
package placement
