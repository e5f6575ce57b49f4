package controller

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	v1 "lockstep.dev/lockstep/pkg/apis/kubeflow/v1"
)

// indexSet is a set of pod indexes within one role. In a status it is written as in
// an indexed Job, "0,3-7", so that a set of thousands stays short.
type indexSet map[int32]bool

// parseIndexes reads what String writes. What it cannot read it leaves out.
func parseIndexes(text string) indexSet {
	set := indexSet{}
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := strconv.ParseInt(first, 10, 32)
		if err != nil {
			continue
		}
		to := from
		if isRange {
			if to, err = strconv.ParseInt(last, 10, 32); err != nil {
				continue
			}
		}
		for i := from; i <= min(to, from+maxIndexes); i++ {
			set[int32(i)] = true
		}
	}
	return set
}

// maxIndexes bounds what a damaged status can make us allocate.
const maxIndexes = 1 << 16

// String is "" for the empty set.
func (s indexSet) String() string {
	sorted := make([]int32, 0, len(s))
	for index := range s {
		sorted = append(sorted, index)
	}
	slices.Sort(sorted)
	var parts []string
	for i := 0; i < len(sorted); {
		j := i
		for j+1 < len(sorted) && sorted[j+1] == sorted[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, strconv.Itoa(int(sorted[i])))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", sorted[i], sorted[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// memory is a set of pods by role, as a status holds it.
type memory map[v1.ReplicaType]indexSet

func recall(stored map[v1.ReplicaType]string) memory {
	m := memory{}
	for role, text := range stored {
		m[role] = parseIndexes(text)
	}
	return m
}

func (m memory) store() map[v1.ReplicaType]string {
	var stored map[v1.ReplicaType]string
	for role, set := range m {
		if len(set) == 0 {
			continue
		}
		if stored == nil {
			stored = map[v1.ReplicaType]string{}
		}
		stored[role] = set.String()
	}
	return stored
}

func (m memory) has(role v1.ReplicaType, index int32) bool { return m[role][index] }

func (m memory) add(role v1.ReplicaType, index int32) {
	if m[role] == nil {
		m[role] = indexSet{}
	}
	m[role][index] = true
}

func (m memory) remove(role v1.ReplicaType, index int32) { delete(m[role], index) }

// size is the number of pods of all roles.
func (m memory) size() int {
	n := 0
	for _, set := range m {
		n += len(set)
	}
	return n
}
