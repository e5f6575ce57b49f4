package processnode

import (
	"cmp"
	"maps"
	"slices"
)

// sortedKeys gives map keys in an order that does not change from run to run.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
