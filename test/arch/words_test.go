package arch

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What no file may say: the paths of one developer's machine, and the hosts that
// packages come from there (a mirror may serve them elsewhere). The words are put
// together here so that this file does not say them.
var unwanted = regexp.MustCompile(strings.Join([]string{
	`/wo` + `rk/`, `/ro` + `ot/`, `/fa` + `rm/`,
	`proxy\.go` + `lang`, `registry\.np` + `mjs`, `deb\.deb` + `ian`,
}, "|"))

func TestNoFileNamesAMachine(t *testing.T) {
	for _, name := range files(t) {
		if filepath.Base(name) == "go.sum" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // removed, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if word := unwanted.FindString(line); word != "" {
				t.Errorf("%s:%d says %q", name, i+1, word)
			}
		}
	}
}

// files are the names of the project's files, as git knows them.
func files(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("this is no git checkout, so there is no list of the project's files: %v", err)
	}
	return strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
}
