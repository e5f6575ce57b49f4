// Package examples holds jobs to try Lockstep with, as files and, for the demo,
// as part of the program. The training script is what an image would have at
// /workspace/train.py.
package examples

import "embed"

// Files are the manifests and scripts of this directory.
//
//go:embed *.yaml *.py
var Files embed.FS
