// Package quota says which gangs may have how much: what a queue is guaranteed, what
// it may borrow of what others leave, where it is capped, and whose turn it is.
//
// Queues are a tree. Each has, by resource, a guarantee and a cap; one that is not
// given is a guarantee of nothing and a cap of everything. A gang belongs to the queue
// that it names, or to the one that its namespace is bound to, or to none: then it
// has no guarantee and no cap, and what it holds is borrowed.
//
//   - A gang is admitted when its floor, beside what is held already, stays within the
//     caps of its queue and of all queues above it (Usage.Admit). Whether nodes have
//     room is not asked here: who borrows takes what is free. Of whom it may take room,
//     as few go as bring it below a cap (Usage.Lift).
//   - What a queue holds beyond its guarantee is borrowed. Of gangs of one priority
//     those within their guarantee go first, then those whose queue has borrowed the
//     least for its weight (Usage.Turns): dominant resource fairness, over what is
//     borrowed now and what was of late. Source: Ghodsi et al., Dominant Resource
//     Fairness, NSDI 2011, hierarchical as in Bhattacharya et al., SoCC 2013 (the
//     shares of siblings are compared, the widest queues first).
//   - Among borrowers a gang may take room from queues that have borrowed more for their
//     weight, as long as that leaves them no less than its own queue has then
//     (Usage.Overdrawn). Source: Kueue's fair sharing, which asks the same of the shares
//     after a preemption.
//   - What an amount would be divided into by fairness alone is said by Tree.Fair.
//   - What was borrowed in the past counts half as much for every half-life that has
//     gone by (History).
//   - A gang within its queue's guarantee may take back what is borrowed
//     (Usage.Reclaimable): from siblings of a queue above it that is within its own
//     guarantee, as long as they hold more than theirs.
//
// What is held is always summed up anew from who holds it, never counted along, so it
// cannot go wrong and stay wrong; sums saturate and are never negative.
//
// A type of GPU is a resource of its own beside the plain one, for whoever translates
// objects: amounts come by their places in a cluster.Vocabulary, and mean nothing here.
//
// The package is pure: time comes in as a value, and there are no floats, so every
// machine puts the queues in the same order.
package quota
