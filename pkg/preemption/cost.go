package preemption

// cost is what a set of units costs, compared field by field; all fields are sums
// over its units. The highest priority is no sum and is kept apart.
type cost [6]int64

// The fields of a cost.
const (
	violations = iota // of budgets, each unit by itself: a lower bound for a set
	whole             // gangs and pods without a gang, times shares
	surplus           // surplus members, times shares
	lost              // GPU-seconds
	pods
	order // places from the end of the gang's list: which surplus member
)

// shares is into how many parts the price of a unit can be cut among its nodes
// without a rest, up to twelve of them.
const shares = 27720

// maxLost bounds a pod's loss, so that sums stay far from the limit.
const maxLost = 1 << 40

func (c cost) plus(d cost) cost {
	for i := range c {
		c[i] += d[i]
	}
	return c
}

func (c cost) less(d cost) bool {
	for i := range c {
		if c[i] != d[i] {
			return c[i] < d[i]
		}
	}
	return false
}

// roundUp is the lowest cost of a set of undivided units that is not below a bound.
func (c cost) roundUp() cost {
	if rest := c[whole] % shares; rest > 0 {
		c[whole] += shares - rest
		c[surplus], c[lost], c[pods], c[order] = 0, 0, 0, 0
	}
	return c
}

// dearest is above every cost.
var dearest = cost{1<<63 - 1}
