package topology

import (
	"fmt"
	"sort"

	"lockstep.dev/lockstep/pkg/cluster"
)

// CheckLevels says what is wrong with configured levels: an error names the level
// by its place and the field.
func CheckLevels(levels []Level) error {
	names, keys := map[string]int{}, map[string]int{}
	for i, level := range levels {
		switch {
		case level.Name == "":
			return fmt.Errorf("[%d].name: must not be empty", i)
		case level.Key == "":
			return fmt.Errorf("[%d].key: must be the node label of level %q", i, level.Name)
		case level.Name == ClusterLevel || level.Name == HostLevel:
			return fmt.Errorf("[%d].name: %q is the name of a level that every cluster has", i, level.Name)
		case level.Key == hostnameKey:
			return fmt.Errorf("[%d].key: %q need not be given: hosts are always the narrowest level", i, level.Key)
		}
		if first, again := names[level.Name]; again {
			return fmt.Errorf("[%d].name: %q is the name of [%d] already", i, level.Name, first)
		}
		if first, again := keys[level.Key+level.Cut]; again {
			return fmt.Errorf("[%d].key: %q is the label of [%d] already", i, level.Key, first)
		}
		names[level.Name], keys[level.Key+level.Cut] = i, i
	}
	return nil
}

// Unlabelled is a node that lacks the labels of some levels.
type Unlabelled struct {
	Node   string   `json:"node"`
	Levels []string `json:"levels"`
}

// Reused is a label value that several domains of a level bear. They are told
// apart by what they stand in; if they are meant to be one, the labels are wrong.
type Reused struct {
	Level string   `json:"level"`
	Value string   `json:"value"`
	Paths []string `json:"paths"`
}

// Report is what there is to say about the labels of a cluster.
type Report struct {
	// Levels in use, widest first.
	Levels []string `json:"levels"`
	// Unlabelled nodes stand in domains of their own where they lack a label, and
	// are of no use to gangs that require such a level.
	Unlabelled []Unlabelled `json:"unlabelled"`
	// Reused values are there when the labels do not make a tree.
	Reused []Reused `json:"reused"`
	// Idle levels tell nothing apart: each of their domains is all that is in the
	// domain around it. They do no harm.
	Idle []string `json:"idle"`
}

// Good reports whether there is nothing to mend.
func (r Report) Good() bool { return len(r.Unlabelled) == 0 && len(r.Reused) == 0 }

// Validate looks for labels that are missing, that do not make a tree, or that say nothing.
func Validate(levels []Level, nodes []cluster.Node) Report {
	tree := Build(levels, nodes)
	r := Report{Levels: []string{}, Unlabelled: []Unlabelled{}, Reused: []Reused{}, Idle: []string{}}
	for l := range levels {
		r.Levels = append(r.Levels, levels[l].Name)
		r.Reused = append(r.Reused, tree.reused(l+1)...)
		if tree.idle(l + 1) {
			r.Idle = append(r.Idle, levels[l].Name)
		}
	}
	for i := range nodes {
		var missing []string
		for l := range levels {
			if !tree.Domains[tree.Ancestor(tree.leaves[i], l+1)].Known {
				missing = append(missing, levels[l].Name)
			}
		}
		if missing != nil {
			r.Unlabelled = append(r.Unlabelled, Unlabelled{nodes[i].Name, missing})
		}
	}
	return r
}

// reused finds the values of a level that stand in more than one place.
func (t *Tree) reused(level int) []Reused {
	paths := map[string][]string{}
	for _, d := range t.AtLevel(level) {
		if domain := &t.Domains[d]; domain.Known {
			value := domain.Path
			if domain.Parent != 0 {
				value = value[len(t.Domains[domain.Parent].Path)+1:]
			}
			paths[value] = append(paths[value], domain.Path)
		}
	}
	var out []Reused
	for value, at := range paths {
		if len(at) > 1 {
			out = append(out, Reused{t.LevelName(level), value, at})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Value < out[j].Value })
	return out
}

// idle reports whether every domain of a level is the only one in its parent, or
// has only one child: a level that could be left out.
func (t *Tree) idle(level int) bool {
	alone, single := true, true
	for _, d := range t.AtLevel(level) {
		alone = alone && len(t.Domains[t.Domains[d].Parent].Children) == 1
		single = single && len(t.Domains[d].Children) == 1
	}
	return alone || single
}
