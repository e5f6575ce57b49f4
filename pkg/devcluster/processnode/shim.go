package processnode

import "lockstep.dev/lockstep/pkg/devcluster/processnode/sandbox"

// MaybeRunShim must be called first in main (and TestMain) of every program that calls Run: containers are started
// through the program itself under another name, and then it does not return.
func MaybeRunShim() { sandbox.MaybeRunShim() }
