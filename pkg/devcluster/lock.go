package devcluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// errLocked: another cluster runs in the data directory.
var errLocked = errors.New("a cluster runs in this directory already; stop it with lockstep devcluster down, or take another --data-dir")

// dirLock is the kernel's lock on DIR/lock. It goes when the process that holds
// it goes, in whatever way, and no sub-process inherits it.
type dirLock struct{ file *os.File }

// lockDir creates the directory if need be and locks it.
func lockDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := flock(file); err != nil {
		file.Close()
		return nil, fmt.Errorf("data directory %s: %w", dir, err)
	}
	return &dirLock{file: file}, nil
}

func flock(file *os.File) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}

func (l *dirLock) release() error { return l.file.Close() }

// isLocked says whether a cluster runs in the directory.
func isLocked(dir string) (bool, error) {
	file, err := os.Open(filepath.Join(dir, "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	switch err := flock(file); {
	case errors.Is(err, errLocked):
		return true, nil
	default:
		return false, err
	}
}
