// Package invariants owns what must hold of a cluster that Lockstep schedules,
// whatever happens: it judges a history of changes on the API, event by event.
//
// A history is plain data: when which object changed, and what of it matters. It is
// the same whether a recorder watched it on a live cluster, a test of the binaries
// did, or the simulator of the core wrote it down, so all of them are judged by the
// same code:
//
//	c := invariants.NewChecker(invariants.Options{})
//	for _, e := range history {
//		for _, v := range c.Feed(e) {
//			fmt.Println(v) // S2: node n1: 9 of 8 nvidia.com/gpu are taken since team-a/x-1 was bound
//		}
//	}
//
// Two kinds of rules are kept apart. Most of safety is judged at a change: a bind
// is right or wrong as of the moment it is seen, with allowance for what its author
// could not have seen yet ([Options.Staleness]). What may be wrong for a moment, such
// as a gang of which half is bound, is a suspicion that turns into a violation when it
// has lasted for its bound; [Checker.Advance] lets time pass where nothing happens.
//
// The checker derives everything from the history. It knows nothing of the scheduler's
// own books; what needs those (that the ledger adds up, that a fresh core decides as
// the running one) is checked by the tests of package core.
//
// [Catalogue] lists the invariants. Their names are those of the project's documents:
// S is safety, L is liveness, V is what is told to people.
package invariants
