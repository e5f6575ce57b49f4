package sandbox

import (
	"os"
	"syscall"
)

// Mode is the degree of isolation between pods.
type Mode string

const (
	// ModeRoot uses namespaces with the rights of root; commands run as an unprivileged user.
	ModeRoot Mode = "root"
	// ModeUser uses the same namespaces inside a user namespace.
	ModeUser Mode = "user-namespace"
	// ModeLoopback uses no namespaces. Pods differ by address in 127.0.0.0/8 only.
	ModeLoopback Mode = "loopback"
)

// Isolated says that each pod has its own network, files and processes.
func (m Mode) Isolated() bool { return m != ModeLoopback }

// Interface is the name of the network device that has a container's address.
func (m Mode) Interface() string {
	if m.Isolated() {
		return podLink
	}
	return "lo"
}

const (
	keeperName = "lockstep-pod-keeper"
	initName   = "lockstep-pod-init"
	// nobody is the user that commands run as when the caller is root.
	nobody = 65534
)

// candidates are the modes worth trying, best first.
func candidates(uid int) []Mode {
	if uid == 0 {
		return []Mode{ModeRoot, ModeUser, ModeLoopback}
	}
	return []Mode{ModeUser, ModeLoopback}
}

// keeperAttributes are the namespaces that the keeper is born in.
func keeperAttributes(mode Mode) *syscall.SysProcAttr {
	const spaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC
	attr := &syscall.SysProcAttr{Setsid: true}
	switch mode {
	case ModeRoot:
		attr.Cloneflags = spaces
	case ModeUser:
		attr.Cloneflags = spaces | syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	case ModeLoopback: // none
	}
	return attr
}

// initAttributes are the namespaces of one container; its network is chosen by the thread that starts it.
func initAttributes(mode Mode) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if mode.Isolated() {
		attr.Cloneflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC
	} else {
		attr.Pdeathsig = syscall.SIGKILL // what the PID namespace does otherwise
	}
	return attr
}

// MaybeRunShim turns this process into a keeper or an init when it was started as one, and
// then does not return. Call it first in main.
func MaybeRunShim() {
	switch os.Args[0] {
	case keeperName:
		os.Exit(keeperMain())
	case initName:
		os.Exit(initMain())
	}
}
