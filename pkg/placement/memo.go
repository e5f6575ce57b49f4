package placement

// memo remembers fronts by what they come of. It has two halves: when the young
// one is full it becomes the old one, and what was not asked for since is dropped.
// Forgetting costs time and changes no plan.
type memo[K comparable] struct {
	young, old map[K]*front
	entries    int // of the fronts in young
	before     int // of those in old
}

// maxYoung is the number of entries after which a memo drops what is old.
const maxYoung = 1 << 19

func (m *memo[K]) get(key K) (*front, bool) {
	f, known := m.young[key]
	if !known {
		if f, known = m.old[key]; known {
			m.put(key, f)
		}
	}
	return f, known
}

func (m *memo[K]) put(key K, f *front) {
	if m.entries > maxYoung || m.young == nil {
		m.old, m.young = m.young, map[K]*front{}
		m.before, m.entries = m.entries, 0
	}
	m.young[key] = f
	m.entries += len(f.entries)
}
