// Command lockstep is Lockstep's command line. Under the name kubectl-lockstep
// it is a plugin of kubectl: kubectl lockstep.
package main

import (
	"os"

	"lockstep.dev/lockstep/pkg/cli"
	"lockstep.dev/lockstep/pkg/devcluster/processnode"
)

func main() {
	processnode.MaybeRunShim() // the containers of a process node come through here
	os.Exit(cli.Main())
}
