package devcluster

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

func TestOneClusterPerDirectory(t *testing.T) {
	dir := t.TempDir()
	if locked, err := isLocked(dir); locked || err != nil {
		t.Fatalf("a new directory is locked: %v, %v", locked, err)
	}
	first, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDir(dir); !errors.Is(err, errLocked) {
		t.Errorf("the second cluster of a directory got %v, want %v", err, errLocked)
	}
	if locked, err := isLocked(dir); !locked || err != nil {
		t.Errorf("a locked directory is not: %v, %v", locked, err)
	}
	if err := first.release(); err != nil {
		t.Fatal(err)
	}
	second, err := lockDir(dir)
	if err != nil {
		t.Fatalf("after the first has gone: %v", err)
	}
	_ = second.release()
}

func TestStatusOfADirectoryWithoutCluster(t *testing.T) {
	for name, dir := range map[string]string{"empty": t.TempDir(), "missing": filepath.Join(t.TempDir(), "no")} {
		state, err := Status(dir)
		if err != nil || state.Running || state.DataDir != dir {
			t.Errorf("%s: %+v, %v", name, state, err)
		}
		if ran, err := Down(t.Context(), dir); ran || err != nil {
			t.Errorf("down of %s: %v, %v", name, ran, err)
		}
	}
	stale := t.TempDir() // its supervisor was killed
	if err := os.WriteFile(statePath(stale), []byte(`{"running": true, "supervisor_pid": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if state, err := Status(stale); err != nil || state.Running || state.Supervisor != 0 {
		t.Errorf("stale: %+v, %v", state, err)
	}
	if ran, err := Down(t.Context(), stale); ran || err != nil {
		t.Errorf("down of stale would signal a stranger: %v, %v", ran, err)
	}
}

func TestForeignFilesInTheDataDirectoryStay(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"mine.txt", "etcd/member", "logs/old.log"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := &Cluster{options: Options{DataDir: dir}}
	if err := c.emptyDataDir(); err != nil {
		t.Fatal(err)
	}
	var got []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if diff := cmp.Diff([]string{"logs", "mine.txt"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKubeconfigKeepsWhatWasThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	theirs := api.NewConfig()
	theirs.Clusters["work"] = &api.Cluster{Server: "https://work.example"}
	theirs.AuthInfos["me"] = &api.AuthInfo{Token: "secret"}
	theirs.Contexts["work"] = &api.Context{Cluster: "work", AuthInfo: "me"}
	theirs.CurrentContext = "work"
	if err := clientcmd.WriteToFile(*theirs, path); err != nil {
		t.Fatal(err)
	}
	ours := kubeconfig("https://127.0.0.1:1", []byte("ca"), userByToken("t"))
	if err := mergeKubeconfig(path, ours); err != nil {
		t.Fatal(err)
	}
	with, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if with.CurrentContext != contextName || with.Clusters["work"] == nil || with.Clusters[contextName] == nil {
		t.Errorf("merged: current context %q, clusters %v", with.CurrentContext, with.Clusters)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a file with keys has mode %v, %v", info.Mode(), err)
	}
	if err := unmergeKubeconfig(path, "https://127.0.0.1:2"); err != nil {
		t.Fatal(err)
	}
	if still, err := clientcmd.LoadFromFile(path); err != nil || still.Clusters[contextName] == nil {
		t.Errorf("a cluster took another one's entry away: %v", err)
	}
	if err := unmergeKubeconfig(path, "https://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	without, err := clientcmd.LoadFromFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if without.Clusters[contextName] != nil || without.AuthInfos["me"] == nil || without.AuthInfos["me"].Token != "secret" {
		t.Errorf("after the end: %v", without)
	}
}

func TestKubeconfigOfOursAloneGoes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "config")
	if err := mergeKubeconfig(path, kubeconfig("https://127.0.0.1:1", nil, userByToken("t"))); err != nil {
		t.Fatal(err)
	}
	if err := unmergeKubeconfig(path, "https://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}
