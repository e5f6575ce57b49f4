package placement

import "slices"

// recent remembers the values that were used last, by key. It is small, so a
// slice in the order of use serves better than a list.
type recent[V any] struct {
	limit  int
	keys   []string // the one used last at the end
	values []V
}

// get finds a value and marks it as used.
func (r *recent[V]) get(key string) (V, bool) {
	for i, v := range slices.Backward(r.keys) {
		if v == key {
			value := r.values[i]
			copy(r.keys[i:], r.keys[i+1:])
			copy(r.values[i:], r.values[i+1:])
			r.keys[len(r.keys)-1], r.values[len(r.keys)-1] = key, value
			return value, true
		}
	}
	var none V
	return none, false
}

// put adds a value that is not there yet and forgets the one that was not used for longest.
func (r *recent[V]) put(key string, value V) {
	if len(r.keys) == r.limit {
		r.drop()
	}
	r.keys, r.values = append(r.keys, key), append(r.values, value)
}

// drop forgets the value that was not used for longest.
func (r *recent[V]) drop() {
	r.keys, r.values = slices.Delete(r.keys, 0, 1), slices.Delete(r.values, 0, 1)
}
