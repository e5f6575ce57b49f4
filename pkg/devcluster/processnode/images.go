package processnode

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"lockstep.dev/lockstep/pkg/devcluster/processnode/sandbox"
)

// Image says what on this machine stands in for a container image.
type Image struct {
	// Pattern is a glob over the image reference, where * matches anything, slashes too: "pytorch/pytorch:*".
	Pattern string
	// Path are directories, as a container sees them, that come first on its PATH.
	Path []string
	// Env are variables, as name and value, that a container has unless it sets them itself.
	Env map[string]string
	// Mounts are what a container needs beside the system directories, read-only.
	Mounts []sandbox.Mount
	// Entrypoint is the command of a container that has none.
	Entrypoint []string
	// WorkingDir is where a container starts that names no directory; empty means "/".
	WorkingDir string
}

// interpreterDir is where the names python and python3 are found in containers of a Python image.
const interpreterDir = "/.lockstep/bin"

// systemPath is the PATH of every container.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// findImage is the first entry that matches. References of the default registry may be given in full.
func findImage(table []Image, reference string) (Image, bool) {
	short := strings.TrimPrefix(strings.TrimPrefix(reference, "docker.io/"), "library/")
	for _, image := range table {
		if glob(image.Pattern, short) || glob(image.Pattern, reference) {
			return image, true
		}
	}
	return Image{}, false
}

// patterns lists what the table knows.
func patterns(table []Image) string {
	var list []string
	for _, image := range table {
		list = append(list, image.Pattern)
	}
	return cmp.Or(strings.Join(list, ", "), "which is empty")
}

// glob matches * with any text.
func glob(pattern, text string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, head)
	if !ok {
		return false
	}
	for i := 0; i <= len(text); i++ {
		if glob(rest, text[i:]) {
			return true
		}
	}
	return false
}

// searchPath is the PATH of a container of the image.
func (i Image) searchPath() string {
	return strings.Join(append(append([]string{}, i.Path...), systemPath), ":")
}

// python is an interpreter of this machine.
type python struct {
	Executable string
	Dirs       []string // what it loads code from
	Torch      bool
	// MuteTorchrun says that torchrun starts no worker unless it is told where the output goes.
	MuteTorchrun bool
}

// pythonQuestion is asked of each candidate. It looks for torch without loading it, which would take seconds.
//
// Debian 12 has torch 1.13 for Python 3.11. There the default of torchrun's --redirects, a flag without any bit, turns
// into None, because iteration over a flag class leaves that member out since 3.11 (and so that of both streams).
const pythonQuestion = `
import importlib.metadata, importlib.util, json, os, sys
try:
    torch_major = int(importlib.metadata.version("torch").split(".")[0])
except (importlib.metadata.PackageNotFoundError, ValueError):
    torch_major = None
print(json.dumps({
    "Executable": sys.executable,
    "Dirs": [d for d in [sys.prefix, sys.base_prefix] + sys.path if os.path.isdir(d)],
    "Torch": importlib.util.find_spec("torch") is not None,
    "MuteTorchrun": torch_major == 1 and sys.version_info >= (3, 11),
}))`

// findPython is the first interpreter with torch, else the first one; nil if there is none.
func findPython(ctx context.Context) *python {
	var best *python
	for _, candidate := range pythonCandidates(os.Getenv("PATH")) {
		p := askPython(ctx, candidate)
		if p != nil && p.Torch {
			return p
		}
		if best == nil {
			best = p
		}
	}
	return best
}

func pythonCandidates(searchPath string) []string {
	var list []string
	seen := map[string]bool{}
	for _, dir := range append(filepath.SplitList(searchPath), "/usr/local/bin", "/usr/bin") {
		candidate := filepath.Join(dir, "python3")
		if info, err := os.Stat(candidate); err == nil && !info.IsDir() && !seen[candidate] {
			seen[candidate] = true
			list = append(list, candidate)
		}
	}
	return list
}

// askPython asks in the environment that a container has, so that what only the developer can load does not count.
func askPython(ctx context.Context, candidate string) *python {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, candidate, "-c", pythonQuestion)
	cmd.Env = []string{"PATH=" + systemPath, "HOME=/nonexistent", "LANG=C.UTF-8"}
	cmd.Dir = "/"
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	var p python
	if json.Unmarshal(out, &p) != nil || p.Executable == "" {
		return nil
	}
	return &p
}

// pythonImages are the table's entries for an interpreter, whose names are put into dir.
func pythonImages(p *python, dir string) ([]Image, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	// Scripts, not links: an interpreter finds its libraries from the path it was called by. Debian has no "python".
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' \"$@\"\n", p.Executable)
	for _, name := range []string{"python", "python3"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			return nil, err
		}
	}
	mounts := []sandbox.Mount{{Source: dir, Target: interpreterDir, ReadOnly: true}}
	for _, d := range outsideSystem(append([]string{filepath.Dir(p.Executable)}, p.Dirs...)) {
		mounts = append(mounts, sandbox.Mount{Source: d, Target: d, ReadOnly: true})
	}
	search := []string{interpreterDir, filepath.Dir(p.Executable)}
	var env map[string]string
	if p.MuteTorchrun {
		env = map[string]string{"PET_REDIRECTS": "1", "PET_TEE": "1"} // stdout, to a file and to the log
	}
	var images []Image
	for _, pattern := range []string{"pytorch/pytorch:*", "pytorch/pytorch", "*/pytorch/pytorch:*"} {
		images = append(images, Image{
			Pattern: pattern, Path: search, Env: env, Mounts: mounts, Entrypoint: []string{"python"}, WorkingDir: workspaceTarget,
		})
	}
	return append(images, Image{Pattern: "python:*", Path: search, Env: env, Mounts: mounts, Entrypoint: []string{"python"}}), nil
}

// outsideSystem drops directories that a container sees anyway, and those below another of the list.
func outsideSystem(dirs []string) []string {
	var keep []string
next:
	for _, d := range dirs {
		d = path.Clean(d)
		for _, system := range []string{"/usr", "/opt", "/lib", "/lib64", "/bin", "/nix", "/gnu"} {
			if d == system || strings.HasPrefix(d, system+"/") {
				continue next
			}
		}
		for _, k := range keep {
			if d == k || strings.HasPrefix(d, k+"/") {
				continue next
			}
		}
		if d != "/" {
			keep = append(keep, d)
		}
	}
	return keep
}
