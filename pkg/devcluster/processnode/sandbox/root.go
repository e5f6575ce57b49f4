package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// systemDirs of the machine are shown read-only. Homes, /srv, /var and the like are not shown at all.
var systemDirs = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "opt", "nix", "gnu", "run/current-system"}

// devices are all that a container has in /dev.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// oldRoot is where the machine's root stays while mounts are made.
const oldRoot = "/.machine"

// enterRoot puts together a root of its own for the container and moves into it.
func enterRoot(spec Spec) error {
	if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("host name %q: %w", spec.Hostname, err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", spec.Root, "tmpfs", unix.MS_NOSUID, "mode=755,size=16m"); err != nil {
		return fmt.Errorf("root of the container: %w", err)
	}
	for _, dir := range systemDirs {
		if err := showSystem(spec.Root, dir); err != nil {
			return err
		}
	}
	if err := pivot(spec.Root); err != nil {
		return err
	}
	if err := kernelFiles(); err != nil {
		return err
	}
	for _, m := range spec.Mounts {
		if err := bind(oldRoot+m.Source, m.Target, m.ReadOnly); err != nil {
			return err
		}
	}
	return sealRoot()
}

// showSystem binds a directory of the machine's root, or repeats a symbolic link such as /bin.
func showSystem(root, dir string) error {
	source, target := "/"+dir, filepath.Join(root, dir)
	info, err := os.Lstat(source)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSymlink == 0 {
		return bind(source, target, true)
	}
	to, err := os.Readlink(source)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return os.Symlink(to, target)
}

func pivot(root string) error {
	if err := os.Mkdir(root+oldRoot, 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(root, root+oldRoot); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	return os.Chdir("/")
}

// kernelFiles makes /proc, /dev, /sys and the usual empty directories.
func kernelFiles() error {
	for _, dir := range []string{"/proc", "/dev", "/sys", "/run", "/var", "/tmp", "/home", "/mnt"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for link, to := range map[string]string{
		"/var/run": "../run", "/var/tmp": "../tmp",
		"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(to, link); err != nil {
			return err
		}
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := bind(oldRoot+"/sys", "/sys", true); err != nil {
		return err
	}
	for _, d := range devices {
		if err := bind(oldRoot+"/dev/"+d, "/dev/"+d, false); err != nil {
			return err
		}
	}
	if err := os.Mkdir("/dev/shm", 0o755); err != nil {
		return err
	}
	return unix.Mount("tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size=256m")
}

// sealRoot lets go of the machine's root and makes the container's own read-only; mounts on it keep their modes.
func sealRoot() error {
	if err := unix.Unmount(oldRoot, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the machine's root: %w", err)
	}
	if err := os.Remove(oldRoot); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID, ""); err != nil {
		return fmt.Errorf("make / read-only: %w", err)
	}
	return nil
}

// bind shows source at target, which it makes when it is missing.
func bind(source, target string, readOnly bool) error {
	info, err := os.Stat(source)
	if err != nil {
		return fmt.Errorf("mount at %s: %w", target, err)
	}
	if err := mountPoint(target, info.IsDir()); err != nil {
		return fmt.Errorf("mount at %s: cannot make the mount point (%w); "+
			"below a system directory only paths that exist on this machine can be mounted on", target, err)
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount at %s: %w", target, err)
	}
	if !readOnly {
		return nil
	}
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	err = unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_RECURSIVE, attr)
	if errors.Is(err, unix.ENOSYS) {
		err = remountReadOnly(target)
	}
	if err != nil {
		return fmt.Errorf("make %s read-only: %w", target, err)
	}
	return nil
}

func mountPoint(target string, dir bool) error {
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	if dir {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// remountReadOnly is for kernels before 5.12; mounts below the target keep their modes there.
func remountReadOnly(target string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(target, &fs); err != nil {
		return err
	}
	// In a user namespace the flags that the machine has set must stay set.
	keep := uintptr(fs.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_RELATIME)
	return unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|keep, "")
}
