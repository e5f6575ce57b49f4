package arch

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

func TestImports(t *testing.T) {
	for _, broken := range check(listed(t, "./...")) {
		t.Error(broken)
	}
}

// The check itself: each of these breaks exactly one rule.
func TestCheckFindsEachKindOfBreach(t *testing.T) {
	for name, test := range map[string]struct {
		source source
		want   string
	}{
		"arrow backwards":      {source{path: "pkg/cluster", imports: []string{module + "pkg/gang"}}, "arrows run one way"},
		"edge to edge":         {source{path: "pkg/controller", imports: []string{module + "pkg/plugin"}}, "arrows run one way"},
		"dev tool and gangs":   {source{path: "pkg/devcluster/fakenodes", imports: []string{module + "pkg/gang"}}, "arrows run one way"},
		"pure and Kubernetes":  {source{path: "pkg/placement", imports: []string{"k8s.io/api/core/v1"}}, "standard library only"},
		"pure and the log":     {source{path: "pkg/core", imports: []string{"log/slog"}}, "the edge logs it"},
		"pure and chance":      {source{path: "pkg/queue", imports: []string{"math/rand/v2"}}, "the same plan"},
		"kubernetes elsewhere": {source{path: "pkg/kube", imports: []string{"k8s.io/kubernetes/pkg/scheduler"}}, "touch one place"},
		"kubernetes in a test": {source{path: "pkg/cli", testImports: []string{"k8s.io/kubernetes/pkg/features"}}, "touch one place"},
		"testify":              {source{path: "pkg/gang", testImports: []string{"github.com/stretchr/testify/require"}}, "go-cmp"},
		"no rule":              {source{path: "pkg/new"}, "needs a line"},
		"a name":               {source{path: "pkg/kube/util"}, "says nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			broken := check([]source{test.source})
			if len(broken) != 1 || !strings.Contains(broken[0], test.want) {
				t.Errorf("got %q, want one line with %q", broken, test.want)
			}
		})
	}
	fine := []source{
		{path: "pkg/sim", imports: []string{module + "pkg/core", "math/rand/v2", "io"}},
		{path: "pkg/plugin", imports: []string{module + "pkg/kube", module + "pkg/core", "k8s.io/kubernetes/pkg/scheduler"}},
		{path: "pkg/devcluster/processnode", imports: []string{module + "pkg/devcluster/processnode/sandbox"}},
	}
	if broken := check(fine); len(broken) > 0 {
		t.Errorf("allowed imports were refused: %q", broken)
	}
}

// bin/lockstep starts the other binaries; linking a part of Kubernetes itself would
// make the command line as large and as slow to link as they are.
func TestCommandLineDoesNotLinkKubernetes(t *testing.T) {
	for _, path := range deps(t, "./cmd/lockstep") {
		if under(path, "k8s.io/kubernetes") || under(path, "go.etcd.io/etcd/server/v3") {
			t.Errorf("cmd/lockstep links %s", path)
		}
	}
}

func TestPurePackagesHaveNoClockAndNoGoroutines(t *testing.T) {
	for _, dir := range pure {
		eachGoFile(t, filepath.Join(root, dir), func(name string, file *ast.File, set *token.FileSet) {
			for _, found := range impurities(file) {
				t.Errorf("%s: %s", set.Position(found.pos), found.what)
			}
		})
	}
}

func TestImpuritiesAreFound(t *testing.T) {
	const text = `package p
import clk "time"
import ("time"; "sync")
func f() { go f(); _ = time.Now(); _ = clk.Since; var c chan int; c <- 1; _ = time.Second; _ = sync.OnceFunc }`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", text, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, found := range impurities(file) {
		got = append(got, found.what)
	}
	want := []string{"starts a goroutine", "time.Now reads the clock", "time.Since reads the clock"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

type impurity struct {
	pos  token.Pos
	what string
}

// impurities finds goroutines and uses of the clock.
func impurities(file *ast.File) []impurity {
	names := map[string]bool{} // what package time is called here
	for _, spec := range file.Imports {
		if path, _ := strconv.Unquote(spec.Path.Value); path == "time" {
			names["time"] = spec.Name == nil || names["time"]
			if spec.Name != nil {
				names[spec.Name.Name] = true
			}
		}
	}
	var found []impurity
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.GoStmt:
			found = append(found, impurity{n.Pos(), "starts a goroutine"})
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && names[x.Name] && slices.Contains(clock, n.Sel.Name) {
				found = append(found, impurity{n.Pos(), "time." + n.Sel.Name + " reads the clock"})
			}
		}
		return true
	})
	return found
}

// Each package says in a doc comment what it owns, and docs/architecture.md lists it.
func TestEachPackageIsExplained(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join(root, "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range listed(t, "./pkg/...") {
		if !strings.Contains(string(guide), "`"+s.path+"`") {
			t.Errorf("docs/architecture.md does not say what `%s` owns", s.path)
		}
		documented := false
		eachGoFile(t, filepath.Join(root, s.path), func(_ string, file *ast.File, _ *token.FileSet) {
			documented = documented || file.Doc != nil
		})
		if !documented {
			t.Errorf("%s has no package comment", s.path)
		}
	}
}

// listed are the packages of this module that match a pattern.
func listed(t *testing.T, pattern string) []source {
	t.Helper()
	out := golist(t, "-json=ImportPath,Imports,TestImports,XTestImports", pattern)
	var sources []source
	for decoder := json.NewDecoder(strings.NewReader(out)); ; {
		var p struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, source{
			path:        strings.TrimPrefix(p.ImportPath, module),
			imports:     p.Imports,
			testImports: append(p.TestImports, p.XTestImports...),
		})
	}
	if len(sources) == 0 {
		t.Fatalf("go list %s: no package", pattern)
	}
	return sources
}

// deps are all packages that the packages of a pattern link.
func deps(t *testing.T, pattern string) []string {
	t.Helper()
	return strings.Fields(golist(t, "-deps", pattern))
}

func golist(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-e"}, args...)...)
	cmd.Dir = root
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, problems.String())
	}
	return string(out)
}

// eachGoFile parses the files of a directory that are no tests. A directory that
// does not exist has none: pure lists packages that are still to come.
func eachGoFile(t *testing.T, dir string, do func(name string, file *ast.File, set *token.FileSet)) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		do(name, file, set)
	}
}
