package core

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lockstep.dev/lockstep/pkg/gang"
)

// Outsider is a pod that bears a gang's label and is none of its members.
type Outsider struct{ UID, Name, Why string }

// Outsiders of a gang, by name.
func (c *Core) Outsiders(key gang.Key) []Outsider {
	if g := c.groups[key]; g != nil {
		return g.outside()
	}
	return nil
}

func (g *group) outside() []Outsider {
	if len(g.outsiders) == 0 {
		return nil
	}
	return slices.SortedFunc(maps.Values(g.outsiders), func(a, b Outsider) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
}

func (c *Core) outsiderSeen(e OutsiderSeen) {
	g := c.group(e.Key)
	if g.outsiders == nil {
		g.outsiders = map[string]Outsider{}
	}
	g.outsiders[e.UID] = e.Outsider
	g.tally = nil
}

// outsiderGone takes in that a pod is gone that may have been an outsider.
func (c *Core) outsiderGone(e MemberGone) {
	if g := c.groups[e.Key]; g != nil && g.outsiders[e.UID].UID != "" {
		c.touched[e.Key] = g
		delete(g.outsiders, e.UID)
		g.tally = nil
	}
}

// incomplete says how many members of the floor exist, which are known to be missing, and
// which pods do not count although they are there.
func (g *group) incomplete(present int) string {
	t := g.sums()
	if t.absent == nil {
		t.absent = new(g.absent())
	}
	return fmt.Sprintf("%d of %d members exist%s", present, g.floor(), *t.absent)
}

func (g *group) absent() (text string) {
	if names, n := g.gaps(); n > 0 {
		text += "; missing: " + strings.Join(names, ", ")
		if n > len(names) {
			text += fmt.Sprintf(" and %d more", n-len(names))
		}
	}
	var idle []Outsider
	for _, m := range g.members {
		if m.state == gang.Waiting && m.barred != "" {
			idle = append(idle, Outsider{m.UID, m.Name, m.barred})
		}
	}
	idle = append(idle, g.outside()...)
	if len(idle) > 0 {
		text += fmt.Sprintf("; %s does not count: %s", idle[0].Name, idle[0].Why)
		if n := len(idle) - 1; n > 0 {
			text += fmt.Sprintf(" (and %d more)", n)
		}
	}
	return text
}

// gaps names members that do not exist while one of the same role and a higher index does,
// and says how many those are: those whose names end in their index.
func (g *group) gaps() (names []string, n int) {
	if len(g.finished) > 0 {
		return nil, 0 // of those no names are known
	}
	for i, m := range g.members {
		next := 0
		if i > 0 && g.members[i-1].Role == m.Role {
			next = g.members[i-1].Index + 1
		}
		if m.Index <= next || m.Index-next > g.floor() {
			continue
		}
		stem, numbered := strings.CutSuffix(m.Name, fmt.Sprint("-", m.Index))
		if !numbered {
			continue
		}
		n += m.Index - next
		for ; next < m.Index && len(names) < shown; next++ {
			names = append(names, fmt.Sprint(stem, "-", next))
		}
	}
	return names, n
}
