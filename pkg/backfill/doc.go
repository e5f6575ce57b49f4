// Package backfill answers two questions about a gang that has waited too long: when
// and where it could start if nobody else entered, and who may enter all the same.
//
// It is EASY backfill (Lifka, The ANL/IBM SP scheduling system, JSSPP 1995) for a
// cluster in which few jobs say how long they run: the gang at the head gets one
// reservation at its shadow time, the earliest time at which it fits if all that runs
// ends as expected; later work may use the room until then if it ends before.
//
// Where nobody said how long something runs, the time that it has run already stands
// for the time that is left. Run times are heavy-tailed, and for a Pareto
// distribution the expected rest grows in proportion to the age; with an exponent of
// 2 it is the age itself. So young, short work is waited for rather than old work.
//
// The package is pure: time comes as a value. It knows nothing of who holds a
// reservation or where it is kept; package core does.
package backfill
