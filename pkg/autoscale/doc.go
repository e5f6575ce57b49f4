// Package autoscale decides how many Workers elastic jobs should have.
//
// A [Recommender] is handed a [Situation], plain data about all elastic jobs that
// run and the gangs that wait, with a [Room] to ask what still fits where. It
// answers with one [Decision] per job: the size to have and the reason, with its
// numbers, in a sentence. Whoever has better signals can put another Recommender
// in the place of [WaterFilling].
//
// WaterFilling goes by three rules, in this order:
//
//  1. Workers above the asked size (surplus) are there until somebody needs their room.
//     While a gang waits that would fit without some of them, these are given back,
//     those that add the least first and no more than needed, once it has waited for
//     longer than their restarts cost. What was asked for is given back only to the gang
//     of another elastic job, no less important, that starts with a part of what it asked
//     for: down to the same part, where no gang before it would take the room, and once
//     waiting has cost it a share of the work that the others are expected to lose, or
//     three hours have passed.
//  2. Idle room goes to growth when no gang waits for more than there is; while one
//     does, jobs that started with less than they asked for may still come to have that.
//     It is handed out like water that fills vessels: again and again to the job whose
//     utility it raises the most per GPU. Room in use moves from one job to another only
//     if that is worth the restarts of both.
//  3. A resize restarts all Workers of a job. So a job changes its size only if the
//     gain over the time it is expected to run, and for surplus half an hour at most, is
//     more than twice what the restart costs, and not again before it has settled: it may
//     grow soon after its start. A job that tells of its checkpoints grows right after one,
//     unless it would gain more until then than is unsaved. Giving surplus back waits for
//     none of that.
//
// Speed-up is not concave: it has steps where a job begins to use another node, and
// some sizes are not allowed. Steps therefore go from corner to corner of the upper
// concave hull of a job's utility over its sizes; a step that finds no room gives
// way to the sizes below it. Handing out the best step first is optimal for concave
// curves and equal steps (marginal analysis: Fox, Discrete Optimization via Marginal
// Analysis, Management Science 13, 1966), and loses at most about one step else.
//
// The package must not know Kubernetes, clocks or who carries a decision out. The
// same situation gives the same decisions.
package autoscale
