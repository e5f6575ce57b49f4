package sandbox

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// limits hold for every process of a container.
var limits = []struct {
	resource int
	max      uint64
}{
	{unix.RLIMIT_CORE, 0},
	{unix.RLIMIT_NOFILE, 65536},
	{unix.RLIMIT_NPROC, 8192},
}

// dropRights takes from this thread, and so from what it starts next, every way to gain rights.
// The thread keeps its own, because it still has to switch to the unprivileged user.
func dropRights(mode Mode) error {
	for _, l := range limits {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(l.resource, &now); err != nil {
			return fmt.Errorf("resource limit %d: %w", l.resource, err)
		}
		want := min(now.Max, l.max)
		if err := syscall.Setrlimit(l.resource, &syscall.Rlimit{Cur: want, Max: want}); err != nil {
			return fmt.Errorf("resource limit %d: %w", l.resource, err)
		}
	}
	if err := dropCapabilities(); err != nil && mode.Isolated() {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	return nil
}

// dropCapabilities empties the sets that an exec takes capabilities from. Without namespaces it may fail for
// lack of rights; a caller that is not root has none to pass on then.
func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		// EINVAL: a capability that this kernel does not know.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EINVAL {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	return nil
}
