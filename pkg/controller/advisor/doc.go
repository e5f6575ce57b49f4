// Package advisor gives elastic jobs the number of Workers that suits the cluster,
// where their annotation lockstep.dev/autoscale: cluster asks for it.
//
// It is a shell around pkg/autoscale, which decides. Round by round it takes down what
// is there (nodes, pods, pod groups, jobs, from caches), asks the recommender, writes
// Worker.replicas through /scale, as any autoscaler does, and leaves the decision with
// its reason on the controller's board, which shows it on the job.
//
// Invariants:
//
//   - A job that somebody else scales is never written to.
//   - While a change of size is under way nothing else is decided: room that is being
//     given back must not be taken for a reason to take more.
//   - A write names the version of the job that it was decided on.
package advisor
