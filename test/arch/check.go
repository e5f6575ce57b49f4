package arch

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// source is a package of this project as "go list" tells it. Its path is
// relative to the module, the paths of its imports are full.
type source struct {
	path        string
	imports     []string
	testImports []string
}

// check names each import that breaks a rule, with the rule's reason.
func check(sources []source) []string {
	var broken []string
	for _, s := range sources {
		if slices.Contains(badNames, path.Base(s.path)) {
			broken = append(broken, fmt.Sprintf("%s: the name says nothing of what the package owns", s.path))
		}
		allowed, known := arrowsOf(s.path)
		if !known {
			broken = append(broken, fmt.Sprintf("%s: a new package needs a line in test/arch/rules.go", s.path))
			continue
		}
		for _, imported := range s.imports {
			broken = append(broken, checkImport(s.path, allowed, imported)...)
		}
		for _, imported := range append(slices.Clone(s.imports), s.testImports...) {
			broken = append(broken, checkBans(s, imported)...)
		}
	}
	slices.Sort(broken)
	return slices.Compact(broken)
}

// arrowsOf finds the entry of the closest tree that a package is in.
func arrowsOf(pkg string) (allowed []string, known bool) {
	for dir := pkg; dir != "."; dir = path.Dir(dir) {
		if list, ok := arrows[dir]; ok {
			return append([]string{dir}, list...), true
		}
	}
	return nil, false
}

func checkImport(pkg string, allowed []string, imported string) []string {
	if own, ok := strings.CutPrefix(imported, module); ok {
		if underAny(own, allowed) {
			return nil
		}
		return []string{fmt.Sprintf("%s imports %s: arrows run one way only, it may import %s",
			pkg, own, strings.Join(allowed, ", "))}
	}
	if !underAny(pkg, pure) {
		return nil
	}
	switch reason := pureBans[imported]; {
	case !standard(imported):
		return []string{fmt.Sprintf("%s imports %s: pure packages use the standard library only", pkg, imported)}
	case reason != "" && !slices.Contains(seeded[pkg], imported):
		return []string{fmt.Sprintf("%s imports %s: %s", pkg, imported, reason)}
	}
	return nil
}

func checkBans(s source, imported string) []string {
	var broken []string
	for _, b := range bans {
		inTest := !slices.Contains(s.imports, imported)
		if !strings.HasPrefix(imported, b.imports) || underAny(s.path, b.only) || inTest && !b.tests {
			continue
		}
		broken = append(broken, fmt.Sprintf("%s imports %s: %s", s.path, imported, b.reason))
	}
	return broken
}

// standard says whether an import path is one of the standard library: those
// have no dot in their first part.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}
