package autoscale_test

// pool is a room without places: GPUs that fit anywhere.
type pool struct {
	idle int
	unit map[string]int // GPUs per Worker
	need map[string]int // GPUs of gangs that wait
	left int
}

func (p *pool) Reset() { p.left = p.idle }

func (p *pool) Grow(job string, n int) bool { return p.take(n * p.unit[job]) }

func (p *pool) Shrink(job string, n int) { p.left += n * p.unit[job] }

func (p *pool) Start(gang string) bool { return p.take(p.need[gang]) }

func (p *pool) take(n int) bool {
	if n > p.left {
		return false
	}
	p.left -= n
	return true
}
