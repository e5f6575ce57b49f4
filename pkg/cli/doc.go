// Package cli is the command line: one file per verb, and what the verbs share.
//
// A verb is a function newXCommand() *cobra.Command that root.go registers. It
// takes its context from the command (Ctrl-C and SIGTERM end it), writes what it
// has to say to command.OutOrStdout(), and returns
//
//   - nil: yes, exit code 0
//   - errNo, after it has printed why: a clear no, exit code 2
//   - any other error: exit code 1; its text goes to standard error after the
//     program's name, so it says what and where, in one line where that is possible
//
// Data is printed by printJSON when -o json asks for it, and else for people;
// colours only on a terminal.
//
// The package does not link Kubernetes itself: it starts the other binaries.
package cli
