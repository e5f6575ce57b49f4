// Package preemption chooses who has to go so that one gang gets its place: the
// victims and the placement together.
//
// What goes is a unit: a whole gang, a pod without a gang, or a single member of an
// elastic gang that stays above its floor without it. Never a part of a floor.
// Of all the sets of units after whose end the gang fits, the best in this order is
// looked for:
//
//  1. The fewest violations of disruption budgets.
//  2. The lowest priority of the victim with the highest.
//  3. The fewest whole gangs and pods without a gang, then the fewest surplus
//     members: an elastic gang is shrunk before anybody is ended.
//  4. The least work lost, in GPU-seconds.
//  5. The fewest pods; of a gang's surplus those that come last in it.
//  6. The lowest domain that holds the gang.
//
// Nobody goes when the gang would not fit even with all of them gone; that is found
// out first, and the rejection says what would be missing then.
//
// # How
//
// If every unit stood on one node, the optimum would be a knapsack: for every node
// the cheapest set of its units for each number of members that then fit (for
// several classes: for each vector of counts), and for the nodes of a domain the
// cheapest choice of one such set each that makes room for all. Costs 3 to 5 are
// sums, so this is exact; priorities are tried from the lowest upward.
//
// Units that stand on several nodes, floors and budgets tie nodes together. They are
// let loose first: every node may take its part of such a unit by itself and pays its
// share of the price. That never costs more than the truth, so it is a bound; where
// the answer takes parts, exceeds a surplus or a budget, one unit is decided both
// ways (branch and bound: Land and Doig, An automatic method of solving discrete
// programming problems, Econometrica 1960). The first answer comes of a greedy method:
// the units, or the units of one node, that make the most room for their price; then
// dropping what is not needed and changing one for another.
//
// Choice.Exact says whether the bound was reached within a fixed amount of work.
// Small clusters and clusters of single pods are solved exactly, large ones full of
// gangs that lie across each other in part by the greedy method; the best answer is then
// improved by keeping one unit after the other and asking what goes instead.
//
// The package is pure: no clock, no randomness, no Kubernetes. It leaves the index
// as it was and copies no cluster: what would be free is kept for the nodes of one
// domain, by number.
package preemption
