package devcluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// BinDirEnv names the environment variable that says where the binaries are.
const BinDirEnv = "LOCKSTEP_BIN_DIR"

const (
	controlPlaneBinary = "lockstep-devcluster"
	schedulerBinary    = "lockstep-scheduler"
	controllerBinary   = "lockstep-controller"
	assetsEnv          = "KUBEBUILDER_ASSETS"
)

// FindBinDir returns the directory of Lockstep's binaries: LOCKSTEP_BIN_DIR, or
// the directory of the running program when the control plane lies there, or
// bin/ of the module that the working directory is in.
func FindBinDir() (string, error) {
	if dir := os.Getenv(BinDirEnv); dir != "" {
		return dir, nil
	}
	if program, err := os.Executable(); err == nil {
		if program, err = filepath.EvalSymlinks(program); err == nil && isFile(filepath.Join(filepath.Dir(program), controlPlaneBinary)) {
			return filepath.Dir(program), nil
		}
	}
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if isFile(filepath.Join(dir, "go.mod")) {
			return filepath.Join(dir, "bin"), nil
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	return "", fmt.Errorf("cannot find Lockstep's binaries; set %s to their directory", BinDirEnv)
}

// binary returns the path of one of Lockstep's binaries.
func binary(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	if !isFile(path) {
		return "", fmt.Errorf("%s does not exist; run make build, or set %s", path, BinDirEnv)
	}
	return path, nil
}

// component is a part of the control plane, as a command line to be started.
type component struct {
	path string
	args []string // before the component's own flags
	// dieWithPipe: the program watches the death pipe.
	dieWithPipe bool
}

// command is the component's command line with the flags given.
func (c component) command(name, log string, flags ...string) command {
	line := command{name: name, path: c.path, args: slices.Concat(c.args, flags), log: log, dieWithPipe: c.dieWithPipe}
	if os.Getenv("GOGC") == "" {
		line.env = []string{"GOGC=200"} // a quarter of the time of a start, for a third more memory
	}
	return line
}

// findComponent prefers a binary of KUBEBUILDER_ASSETS over our own build.
func findComponent(binDir, name string) (component, error) {
	if assets := os.Getenv(assetsEnv); assets != "" {
		if path := filepath.Join(assets, name); isFile(path) {
			return component{path: path}, nil
		}
	}
	path, err := binary(binDir, controlPlaneBinary)
	return component{path: path, args: []string{name}, dieWithPipe: true}, err
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	return err == nil && info.Mode().IsRegular()
}
