// Package core is the scheduler's state machine: which gang may be tried, where
// its members go, when they are released together, and what happens when
// something fails in between.
//
// It is driven like a raft node. The shell around it (the scheduler plugin, the
// simulator) hands in what happened as an [Event] and carries out the [Effect]s
// that come back:
//
//	effects := c.Step(now, core.Attempt{UID: "…", View: view})
//
// The core owns the ledger of held capacity. A node is promised to a member from
// the moment of the plan (Held) until the shell says that the scheduler has
// assumed the member there (Reserved); from then on the shell's own view of the
// node counts it.
//
// One member's way, with the event that takes each step:
//
//	Waiting --Attempt--> Held --Reserved--> Reserved --Permit--> Binding --MemberSeen--> Bound
//	   ^                  |                    |                    |
//	   +------------------+--------------------+--------------------+   Missed, Unreserved, NodeGone, …
//
// Before Binding every failure gives the whole gang back, with one exception: when
// the scheduler's filters refuse a node, members that are reserved keep theirs
// until the next attempt has planned the others around them.
//
// A gang whose constraints the planner cannot judge, or whose nodes were refused until
// no plan was left, roams: an Attempt is answered with a Roam, the scheduler's filters
// choose the node, and the member goes from Waiting to Reserved at once. See roam.go.
//
// A binding cannot be undone; if it stays incomplete the gang heals: bound members
// are fixed points and the others are planned close to them, until HealTimeout ends
// the gang. A bind of which nobody knows whether it took place counts as on its
// way: its node stays held and it is tried there again, whatever its siblings do.
//
// Invariants, checked by [Core.Check] after every step of the tests:
//
//   - The ledger is the sum of what is held for members, node by node.
//   - Members of a gang are Held or Reserved only if its floor has places, or, one gang
//     at a time, while it roams: a gang that does not fit, or may not be tried, holds
//     nothing.
//   - Members are released as soon as the floor may be bound, and not before.
//   - The same events in the same order give the same effects, byte for byte.
//
// The package must not know Kubernetes, clocks, goroutines or logs: time comes in
// with the event.
package core
