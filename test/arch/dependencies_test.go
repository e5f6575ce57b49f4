package arch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each module that a package of the project imports has a line in
// docs/dependencies.md, with the version in use: a dependency is a decision.
func TestEachDependencyIsExplained(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{} // module -> its row
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			rows[strings.Trim(cells[1], " `")] = line
		}
	}
	for module, version := range directModules(t) {
		row, explained := rows[module]
		switch {
		case !explained:
			t.Errorf("docs/dependencies.md has no line for %s %s", module, version)
		case !strings.Contains(row, " "+version+" "):
			t.Errorf("docs/dependencies.md: the version of %s is %s, not the one in the line %q", module, version, row)
		}
	}
}

// directModules are the modules that the project's packages import, with their versions.
func directModules(t *testing.T) map[string]string {
	var imports []string
	for _, s := range listed(t, "./...") {
		for _, path := range append(slices.Clone(s.imports), s.testImports...) {
			if !standard(path) && !strings.HasPrefix(path, module) {
				imports = append(imports, path)
			}
		}
	}
	slices.Sort(imports)
	const form = `{{with .Module}}{{.Path}} {{if .Replace}}{{.Replace.Version}}{{else}}{{.Version}}{{end}}{{end}}`
	modules := map[string]string{}
	for line := range strings.Lines(golist(t, append([]string{"-f", form}, slices.Compact(imports)...)...)) {
		if path, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			modules[path] = version
		}
	}
	return modules
}
