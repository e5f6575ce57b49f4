package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
)

// deathPipeEnv holds the number of an inherited descriptor: the read end of a
// pipe whose only write end is in the supervisor. It is closed by the kernel
// when the supervisor ends, in whatever way it ends.
const deathPipeEnv = "LOCKSTEP_DEATH_PIPE_FD"

// dieWithParent makes this process end as soon as the supervisor is gone. It
// does nothing when no pipe was handed down, as in a start by hand.
func dieWithParent() error {
	value, ok := os.LookupEnv(deathPipeEnv)
	if !ok {
		return nil
	}
	fd, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return fmt.Errorf("%s=%q is not the number of a file descriptor", deathPipeEnv, value)
	}
	pipe := os.NewFile(uintptr(fd), "death pipe")
	if pipe == nil {
		return fmt.Errorf("%s=%d is not an open file descriptor", deathPipeEnv, fd)
	}
	go func() {
		_, _ = io.Copy(io.Discard, pipe)
		os.Exit(1)
	}()
	return nil
}
