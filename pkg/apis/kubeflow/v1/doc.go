// Package v1 is the PyTorchJob API, kubeflow.org/v1, in our own words: the field
// names, positions and meanings that users' manifests already have, plus what is
// ours (see the comments that say "superset").
//
// It owns the Go types and three pure functions over them:
//
//   - Effective folds old field positions and applies the defaults. It never
//     writes into its argument, so the stored object stays as the user wrote it.
//   - Validate says what is wrong with an effective job, by field path. Most rows
//     are also CEL rules of the CRD (hack/crdgen), which answer at admission and
//     guard /scale as well; Validate repeats them for objects that were stored
//     under another CRD, and holds the rows that CEL cannot say.
//   - Unsupported names the fields that are accepted but have no effect yet.
//
// It must not know how a job is run: no client, no clock, no controller.
//
// Invariant, held by fuzzing: any object that decodes goes through Effective and
// Validate without a panic.
//
// +kubebuilder:object:generate=true
// +groupName=kubeflow.org
package v1
