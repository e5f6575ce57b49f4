package cluster

import "math"

// The resources that every node has, at fixed places in every Resources.
const (
	CPU              = iota // millicores
	Memory                  // bytes
	EphemeralStorage        // bytes
	Pods                    // pods; every member asks for one
	firstExtended
)

// Vocabulary gives each resource name a place in Resources. The four resources
// above come first; extended resources follow in the order in which they were
// first named. A Vocabulary only grows, so a place never changes its meaning.
// It is not safe for concurrent use.
type Vocabulary struct {
	names []string
	index map[string]int
}

// NewVocabulary returns a vocabulary that knows the resources every node has.
func NewVocabulary() *Vocabulary {
	v := &Vocabulary{index: map[string]int{}}
	for _, name := range []string{"cpu", "memory", "ephemeral-storage", "pods"} {
		v.Index(name)
	}
	return v
}

// Index returns the place of a resource and gives it one if it has none yet.
func (v *Vocabulary) Index(name string) int {
	if i, ok := v.index[name]; ok {
		return i
	}
	i := len(v.names)
	v.names = append(v.names, name)
	v.index[name] = i
	return i
}

// Name returns the name of the resource at place i.
func (v *Vocabulary) Name(i int) string { return v.names[i] }

// Len returns the number of resources known.
func (v *Vocabulary) Len() int { return len(v.names) }

// Resources is an amount of each resource, by its place in a Vocabulary. A
// vector may be shorter than the vocabulary: what is not there is zero.
type Resources []int64

// Get returns the amount at place i, zero when the vector is shorter.
func (r Resources) Get(i int) int64 {
	if i < len(r) {
		return r[i]
	}
	return 0
}

// Set returns r with the amount at place i replaced, grown when needed.
func (r Resources) Set(i int, amount int64) Resources {
	r = r.grown(i + 1)
	r[i] = amount
	return r
}

// grown returns r with at least n places.
func (r Resources) grown(n int) Resources {
	if more := n - len(r); more > 0 {
		r = append(r, make(Resources, more)...)
	}
	return r
}

// Clone returns a copy that shares nothing with r.
func (r Resources) Clone() Resources { return append(Resources(nil), r...) }

// Add adds other to r in place, grown when needed, and returns it. Sums
// saturate instead of wrapping around.
func (r Resources) Add(other Resources) Resources {
	r = r.grown(len(other))
	for i, amount := range other {
		r[i] = saturatingAdd(r[i], amount)
	}
	return r
}

// Sub subtracts other from r in place, grown when needed, and returns it. The
// result may be negative: a node can be over-committed by others.
func (r Resources) Sub(other Resources) Resources {
	r = r.grown(len(other))
	for i, amount := range other {
		r[i] = saturatingSub(r[i], amount)
	}
	return r
}

// Fits reports whether r, as a request, fits into free. A resource that is not
// requested always fits, also where free is negative.
func (r Resources) Fits(free Resources) bool {
	for i, want := range r {
		if want > 0 && want > free.Get(i) {
			return false
		}
	}
	return true
}

// Slots returns how many times the request r fits into free, at most limit.
func (r Resources) Slots(free Resources, limit int) int {
	slots := int64(limit)
	for i, want := range r {
		if want <= 0 {
			continue
		}
		have := free.Get(i)
		if have < want {
			return 0
		}
		slots = min(slots, have/want)
	}
	return int(slots)
}

// Primary returns the place of the resource a request is chiefly about: its
// first extended resource, else CPU. It is what "left over" is measured in.
func (r Resources) Primary() int {
	for i := firstExtended; i < len(r); i++ {
		if r[i] > 0 {
			return i
		}
	}
	return CPU
}

// saturatingAdd adds without wrapping around.
func saturatingAdd(a, b int64) int64 {
	sum := a + b
	switch {
	case a > 0 && b > 0 && sum < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && sum >= 0:
		return math.MinInt64
	}
	return sum
}

// saturatingSub subtracts without wrapping around; the lowest number has no negative.
func saturatingSub(a, b int64) int64 {
	if b == math.MinInt64 {
		return saturatingAdd(saturatingAdd(a, math.MaxInt64), 1)
	}
	return saturatingAdd(a, -b)
}
