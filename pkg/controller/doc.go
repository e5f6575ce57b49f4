// Package controller runs PyTorchJobs: it owns the way from a job to its PodGroup,
// Services, Pods and HorizontalPodAutoscaler, and from what becomes of those to the
// job's status. It knows nothing of nodes and of where pods are placed.
//
// The work is split in two.
//
// Decide is the judgement, and pure: a job and what was observed of its objects go
// in, with the time; a Plan comes out, which says what to create, change and delete,
// the next status, what to tell the user, and when to look again. It has no client,
// no clock and no memory: what must be remembered is in the job's status. Each
// policy has a file of its own (restart.go, success.go, cleanup.go, elastic.go ...).
//
// Reconciler is the shell: it reads caches, asks Decide, and carries the Plan out.
//
// Invariants:
//
//   - The status is written first, with the version that it was decided on, and the
//     rest only when that succeeded. So a decision on an outdated job changes
//     nothing, and a restart is counted before the evidence of it is deleted.
//   - A job is looked at again only when the caches have seen every write that was
//     made for it.
//   - Terminal conditions never change.
//   - When nothing has to change nothing is written, and nothing is ever listed from
//     the apiserver for a single job.
package controller
