package quota

import (
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

func TestFair(t *testing.T) {
	flat, _ := New([]Queue{{Name: "a", Weight: 1}, {Name: "b", Weight: 2}, {Name: "c", Weight: 5}})
	deep, _ := New([]Queue{{Name: "research", Weight: 1}, {Name: "vision", Parent: "research", Weight: 3}, {Name: "speech", Parent: "research"}, {Name: "production", Weight: 1}})
	type wants = map[string]int64
	for _, tt := range []struct {
		name   string
		tree   *Tree
		amount int64
		wants  []wants
		want   wants
	}{
		{"all want more than there is", flat, 800, []wants{{"a": 900, "b": 900, "c": 900}}, wants{"a": 100, "b": 200, "c": 500}},
		{"who wants little leaves the rest to others, by their weights", flat, 800, []wants{{"a": 900, "b": 900, "c": 200}}, wants{"a": 200, "b": 400, "c": 200}},
		{"who wants nothing gets nothing", flat, 800, []wants{{"a": 900}}, wants{"a": 800}},
		{"there is enough", flat, 800, []wants{{"a": 100, "b": 100, "c": 100}}, wants{"a": 100, "b": 100, "c": 100}},
		{"what is more important comes first, and counts", flat, 800, []wants{{"a": 150, "b": 50}, {"a": 900, "b": 900, "c": 900}}, wants{"a": 150, "b": 186, "c": 464}},
		{"the more important alone want more than there is", flat, 800, []wants{{"a": 900, "b": 900}, {"c": 900}}, wants{"a": 267, "b": 533}},
		{"nobody is a queue of weight 1", flat, 900, []wants{{Nobody: 900, "a": 900, "b": 900, "c": 900}}, wants{Nobody: 100, "a": 100, "b": 200, "c": 500}},
		{"siblings divide what their parent gets", deep, 800, []wants{{"vision": 900, "speech": 900, "production": 900}}, wants{"vision": 300, "speech": 100, "production": 400}},
		{"gangs in the parent itself come before", deep, 800, []wants{{"research": 200, "vision": 900, "speech": 900, "production": 900}},
			wants{"research": 200, "vision": 150, "speech": 50, "production": 400}},
	} {
		got := tt.tree.Fair(tt.amount, tt.wants...)
		maps.DeleteFunc(got, func(_ string, n int64) bool { return n == 0 })
		if !maps.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// All that is wanted is given, up to the amount; nobody gets more than it wants; among
// siblings nobody has more for its weight, beyond what more important gangs got, than one
// that lacks something; and what the less important want takes nothing from the others.
func TestFairIsMaxMin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := queues(t)
		tree, _ := New(given)
		names := append([]string{Nobody}, tree.Queues()...)
		draw := func(name string) (map[string]int64, int64) {
			wants, sum := map[string]int64{}, int64(0)
			for _, q := range names {
				wants[q] = rapid.Int64Range(0, 1<<40).Draw(t, name+" of "+q)
				sum += wants[q]
			}
			return wants, sum
		}
		first, sum := draw("wants")
		second, more := draw("wants of the less important")
		amount := rapid.Int64Range(0, 1<<44).Draw(t, "amount")
		alone, both := tree.Fair(amount, first), tree.Fair(amount, first, second)
		total := func(got map[string]int64) (sum int64) {
			for _, n := range got {
				sum += n
			}
			return sum
		}
		if got := total(alone); got != min(amount, sum) {
			t.Fatalf("%d of %d are given, and %d are wanted", got, amount, sum)
		}
		if got := total(both); got != min(amount, sum+more) {
			t.Fatalf("%d of %d are given, and %d are wanted", got, amount, sum+more)
		}
		for _, q := range names {
			if alone[q] > first[q] || both[q] < alone[q] || both[q] > first[q]+second[q] {
				t.Fatalf("%q wants %d and %d, and gets %d of the first, and %d of both", q, first[q], second[q], alone[q], both[q])
			}
		}
		for _, family := range families(tree) {
			for _, i := range family {
				for _, j := range family {
					gets, wants := tree.below(i, alone), tree.below(i, first)
					if had := tree.below(j, alone); gets < wants && had/tree.weight(j)-gets/tree.weight(i) > slack {
						t.Fatalf("%s gets %d of %d at weight %d, and %s %d at weight %d", tree.label(i), gets, wants, tree.weight(i), tree.label(j), had, tree.weight(j))
					}
				}
			}
		}
	})
}

// slack is what is divided at a level beside the weights: less than all of them together.
const slack = 7 * maxWeight

// families lists siblings by their places; nobody's is -1, and stands beside the widest.
func families(t *Tree) [][]int {
	list := make([][]int, len(t.nodes))
	list[0] = []int{-1}
	for i := 1; i < len(t.nodes); i++ {
		list[t.nodes[i].parent] = append(list[t.nodes[i].parent], i)
	}
	return list
}

// below sums up what a queue and its parts have.
func (t *Tree) below(i int, amounts map[string]int64) int64 {
	if i < 0 {
		return amounts[Nobody]
	}
	sum := int64(0)
	for j := 1; j < len(t.nodes); j++ {
		for k := j; k > 0; k = t.nodes[k].parent {
			if k == i {
				sum += amounts[t.nodes[j].Name]
			}
		}
	}
	return sum
}

func (t *Tree) weight(i int) int64 {
	if i < 0 {
		return 1
	}
	return t.nodes[i].Weight
}

func (t *Tree) label(i int) string {
	if i < 0 {
		return "nobody"
	}
	return fmt.Sprintf("queue %s", t.nodes[i].Name)
}
